"""Feedback: bounces, complaints and unsubscribes, read from mailboxes, logs and queues."""
