"""Real engines on loopback, for tests, benchmarks and developers; the platform never imports them."""
