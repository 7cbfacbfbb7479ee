"""Command lines of the workflow: one thin script per rule."""
