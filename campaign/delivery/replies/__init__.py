"""The meaning of SMTP replies, and what follows from it for the recipient, the pace and the run."""
