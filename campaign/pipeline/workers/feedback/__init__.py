"""What came back, shared over a store: exchanged by each command, and watched while a worker sends."""
