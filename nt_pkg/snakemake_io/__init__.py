"""Snakemake: what it plans, what it does, and what it took."""
