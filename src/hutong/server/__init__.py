"""The processes of the platform: API, loop, gateway."""
