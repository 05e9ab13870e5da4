"""Prompts: reading files of them, published sets, and which ones an iteration draws."""
