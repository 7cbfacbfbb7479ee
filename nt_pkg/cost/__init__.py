"""The cost of a study, estimated before it runs: memory, FLOPs and GPU-hours."""
