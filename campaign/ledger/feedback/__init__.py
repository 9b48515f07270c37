"""What came back about letters, durably: the events, and the list of addresses that follows from them."""
