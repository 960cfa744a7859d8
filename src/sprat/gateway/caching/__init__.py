"""Replies that are given again, exactly or by likeness, and calls that are shared."""
