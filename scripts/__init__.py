"""Command lines of the workflow: one small script per rule."""
