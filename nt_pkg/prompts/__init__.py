"""Stage prompts: read raw rows into a pool, clean it and split it into shards."""
