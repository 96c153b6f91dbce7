"""Turns what users have, written for other systems, into job files: pure functions of a file's bytes."""
