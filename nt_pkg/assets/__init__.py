"""Stage assets: files of pools, models and benchmarks."""
