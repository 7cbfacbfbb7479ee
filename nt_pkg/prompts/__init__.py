"""Stage prompts: raw rows become a pool, cleaned and cut into shards."""
