"""The SMTP door: letters come in here. RFC 5321."""
