"""Dialogues: prompts, reasoning and answers, and how a chat template shows them."""
