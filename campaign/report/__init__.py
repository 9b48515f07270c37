"""What the operator sees, while a run works and afterwards."""
