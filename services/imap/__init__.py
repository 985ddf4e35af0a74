"""The IMAP door: sockets and sessions; the mail itself is behind the store's port."""
