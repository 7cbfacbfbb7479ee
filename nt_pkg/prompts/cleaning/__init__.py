"""Find rows of a pool that repeat others or contain text of benchmarks."""
