"""Mailboxes as sources of feedback: IMAP, POP3, Maildir, mbox, standard input."""
