"""What each one gets: a recipient goes in, the bytes of one letter come out, the same each time."""
