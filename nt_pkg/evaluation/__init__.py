"""Stage evals: answers of a student, and their score."""
