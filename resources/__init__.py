"""What the program ships that is not code: the pocket model, icons, style sheets."""
