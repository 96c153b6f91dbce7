"""Reports: gathered from sums, drawn, frozen and signed."""
