"""Stage subsets: which rows a selector picks."""
