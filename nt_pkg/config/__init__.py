"""The configuration of a study: what may be written, and what it means."""
