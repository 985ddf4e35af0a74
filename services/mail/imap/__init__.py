"""The IMAP grammar and its values, octets in and octets out; nothing here touches a socket, a clock or the store."""
