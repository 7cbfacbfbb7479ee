"""Stage traces: a teacher's answers."""
