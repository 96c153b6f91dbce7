"""The book on disk: one store protocol, three implementations."""
