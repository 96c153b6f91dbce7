"""The demonstration: `make demo` takes one job all the way, from an empty folder to a bill."""
