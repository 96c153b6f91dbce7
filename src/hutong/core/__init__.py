"""The pure heart: decisions as functions of data; no clock, network, disk or randomness."""
