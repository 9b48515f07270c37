"""What is told as data: a Postfix log, events of Amazon SES, JSON lines."""
