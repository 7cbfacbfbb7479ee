"""What every job has: a place for its progress, a log, and an interpreter."""
