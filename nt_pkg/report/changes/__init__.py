"""What changed between two reports of a study."""
