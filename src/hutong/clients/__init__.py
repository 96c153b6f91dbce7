"""What people use: Python client, command line, portal."""
