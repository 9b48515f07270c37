"""The gateways, a module each: the request for a letter, and what its answers say."""
