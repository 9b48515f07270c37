"""Reports for the operator, while a run works and afterwards."""
