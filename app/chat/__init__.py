"""The chat: its view-models, and the widgets that show them."""
