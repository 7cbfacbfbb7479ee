"""Which examples an optimiser step has, and where each of them is computed."""
