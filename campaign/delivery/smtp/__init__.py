"""SMTP on the wire: dialling, TLS and login, the mail transaction, replies."""
