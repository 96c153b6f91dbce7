"""The memory twin of the store: dictionaries under one lock, for tests and short experiments."""
