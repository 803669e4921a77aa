"""One file an API family: what its requests mean, how its answers look, and its routes."""
