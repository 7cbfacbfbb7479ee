"""What all tests share."""

import os

# Before torch is imported anywhere: training forks its ranks, and a process whose OpenMP has
# started threads cannot be forked into one that computes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
