"""What `campaign check` sees in the letters themselves."""
