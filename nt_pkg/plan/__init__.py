"""From a study to its jobs and their specs."""
