"""`campaign forget`: erases a person from everything that a ledger directory keeps."""
