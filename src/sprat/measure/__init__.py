"""(models, data) -> numbers: graders and measures."""
