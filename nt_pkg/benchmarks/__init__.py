"""Benchmarks, one module each; a module's `BENCHMARK` is all the workflow needs to know of it."""
