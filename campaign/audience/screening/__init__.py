"""Which rows are sent to: valid addresses, the filter, suppression lists, keys met once."""
