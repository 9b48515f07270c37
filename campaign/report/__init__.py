"""REPORT: what the operator sees, while it runs and afterwards."""
