"""The models on this computer and those that could be: their page and its view-model."""
