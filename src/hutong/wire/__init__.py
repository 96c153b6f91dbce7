"""The public JSON shapes, one file per resource; no logic."""
