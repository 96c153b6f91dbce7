"""Programs that run inside jobs; they import nothing of the platform."""
