"""Slurm: where jobs run, how they are asked about, and how they are taken over."""
