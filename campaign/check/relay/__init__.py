"""What `campaign check` sees of the relays: they are greeted, nothing is sent."""
