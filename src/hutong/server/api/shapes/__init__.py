"""The core's shapes as the public ones."""
