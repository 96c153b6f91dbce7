"""OpenAI-compatible front of every deployed model."""
