"""Who may ask, how fast, and how much it may cost at most."""
