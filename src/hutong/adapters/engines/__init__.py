"""Drivers of a centre's own scheduler, one package each."""
