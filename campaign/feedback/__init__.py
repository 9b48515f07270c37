"""What comes back: bounces, complaints and unsubscribes, read from mailboxes, logs and queues."""
