"""What a model is, where it lives and how it runs. No HTTP, no Qt."""
