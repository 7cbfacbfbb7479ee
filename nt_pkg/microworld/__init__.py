"""The micro-world: questions, a teacher and a student small enough for a laptop."""
