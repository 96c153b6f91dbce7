"""The one door: HTTP routes, one file per resource."""
