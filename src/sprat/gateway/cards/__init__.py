"""The decision card: what was decided, how good it is likely to be, and what would have changed it."""
