"""MIME messages: headers, transfer encodings, parts, boundaries and signatures."""
