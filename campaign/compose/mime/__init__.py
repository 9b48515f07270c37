"""The message: headers, transfer encodings, parts, boundaries, signature."""
