"""Witnesses of what a centre did: its scheduler, its agent and its electricity meter, against each other."""
