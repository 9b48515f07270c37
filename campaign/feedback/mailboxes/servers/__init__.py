"""Mailboxes on a server, read over IMAP and POP3."""
