"""Prompts: reading prompt files, published sets, and the prompts that an iteration draws."""
