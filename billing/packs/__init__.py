"""Top-ups: packs of credits that a customer buys once, with or without a plan."""
