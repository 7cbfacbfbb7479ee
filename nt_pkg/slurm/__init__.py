"""Slurm: placement of jobs, queries about them, and takeover of an earlier start's jobs."""
