"""Statistics: tests, ratios, and the comparison of runs."""
