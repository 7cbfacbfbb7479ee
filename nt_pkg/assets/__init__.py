"""Stage assets: files from outside."""
