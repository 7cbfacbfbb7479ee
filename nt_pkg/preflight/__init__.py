"""What usually goes wrong on a cluster, found before a study is started there.

`facts` are what can be learned; `parse`, `profile` and `requests` learn it from text. `cluster`,
`names`, `fit`, `limits`, `machine`, `storage` and `study` judge facts. `ask`, `disk` and `probe` go
and get them, and `run` puts all together.
"""
