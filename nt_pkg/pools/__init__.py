"""Pools of prompts, one module each, and their ingestion."""
