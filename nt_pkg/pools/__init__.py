"""Pools of prompts, one module each."""
