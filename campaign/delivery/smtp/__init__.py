"""SMTP: dialling, TLS and login, the mail transaction, replies."""
