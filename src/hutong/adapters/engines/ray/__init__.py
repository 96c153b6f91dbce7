"""Jobs of a Ray cluster, by its Jobs API; the platform itself imports no Ray."""
