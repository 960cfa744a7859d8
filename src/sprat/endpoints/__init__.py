"""Where answers come from: the only place with I/O."""
