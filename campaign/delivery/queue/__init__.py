"""The queue of recipients: admission by the throttle, and the backlog."""
