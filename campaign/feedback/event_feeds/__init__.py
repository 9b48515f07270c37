"""Sources of structured feedback: a Postfix log, events of Amazon SES, JSON lines."""
