"""Benchmarks, one module each; the workflow only uses a module's `BENCHMARK`."""
