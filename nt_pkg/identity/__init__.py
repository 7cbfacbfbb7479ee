"""What identifies a question, a draw and a piece of code."""
