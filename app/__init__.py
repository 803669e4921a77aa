"""The same engines, spoken to by a person: the window, the menu bar and the command."""
