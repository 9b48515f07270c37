"""The recipients who wait: admission by the throttle, and the backlog."""
