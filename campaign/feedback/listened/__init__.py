"""What `campaign listen` stores, and how `campaign collect` fetches it: a JSON object a line."""
