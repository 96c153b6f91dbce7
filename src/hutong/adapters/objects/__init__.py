"""Large bytes by path and by content: files, S3, memory."""
