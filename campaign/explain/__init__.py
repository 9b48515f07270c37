"""What a finding, a verdict, an exit code, a message or a key of the campaign file means, found by its name."""
