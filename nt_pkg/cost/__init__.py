"""What a study costs: memory, FLOPs and GPU-hours, before anything ran."""
