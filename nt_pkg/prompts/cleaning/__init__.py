"""Which rows of a pool are dropped because they repeat others or hold text of benchmarks."""
