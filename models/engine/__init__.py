"""How a model runs: one thread for each kind of engine, and the backends it steps."""
