"""Content-addressed files: local folders and S3."""
