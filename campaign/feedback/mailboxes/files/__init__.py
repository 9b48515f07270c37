"""Mailboxes that are files: Maildir, mbox, and one message on standard input."""
