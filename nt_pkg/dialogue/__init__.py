"""Dialogues: prompts, reasoning and answers, and their text in a chat template."""
