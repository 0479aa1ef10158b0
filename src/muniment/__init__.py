"""Muniment: a governed registry for models, prompts, adapters and evaluation evidence."""
