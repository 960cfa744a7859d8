"""What went through: exchanges, the store that keeps them, and sums over it."""
