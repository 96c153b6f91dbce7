"""Byte streams over WebSockets: what agents and the platform carry for each other."""
