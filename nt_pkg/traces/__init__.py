"""Stage traces: what a teacher answers."""
