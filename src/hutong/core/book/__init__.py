"""The shapes that cross between the store and the decisions."""
