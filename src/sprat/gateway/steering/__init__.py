"""Which certified setting answers: policy, budgets, crafted requests, and what other policies would have done."""
