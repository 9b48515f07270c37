"""What `campaign check` sees in the DNS: the sender's records, SPF, the list's domains."""
