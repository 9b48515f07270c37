"""Where messages come back to: IMAP, POP3, Maildir, mbox, standard input."""
