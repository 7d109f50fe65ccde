"""What a user would pick instead, measured against the same stand-in, and killed as often."""
