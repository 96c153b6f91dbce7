"""Energy of a job by the hour: kilowatt-hours, green share, carbon."""
