"""What a reply means, and what follows from it."""
