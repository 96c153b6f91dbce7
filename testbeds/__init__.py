"""Real engines on loopback for tests, benchmarks and developers."""
