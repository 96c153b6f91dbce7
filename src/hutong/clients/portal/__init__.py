"""Server-rendered pages over the Python client."""
