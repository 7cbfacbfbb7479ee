"""What usually goes wrong on a cluster, found before a study is started there.

`facts` are what can be learned; `ask`, `parse`, `profile` and `requests` learn it. `sbatch` has
Slurm's own answer to every request, and `cluster`, `limits`, `machine`, `storage`, `disk`,
`memory`, `probe` and `study` judge what Slurm cannot say. `run` puts all together.
"""
