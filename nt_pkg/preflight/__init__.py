"""Finds common problems of a cluster before a study is started there.

`facts` has the records; `ask`, `parse`, `profile` and `requests` collect them. `sbatch` has
Slurm's own answer to every request, and `cluster`, `limits`, `machine`, `storage`, `disk`,
`memory`, `probe` and `study` judge what Slurm cannot say. `run` combines all.
"""
