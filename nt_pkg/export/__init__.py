"""What leaves the workflow: a subset as a data set with a card."""
