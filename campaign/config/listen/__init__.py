"""The listen file of the host that takes unsubscribes and webhooks: `campaign listen` reads it."""
