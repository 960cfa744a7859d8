"""sprat: small language models beside large ones."""
