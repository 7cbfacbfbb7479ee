"""Snakemake: its plans, its events, and the time of its jobs."""
