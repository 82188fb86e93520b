"""Speaking: prices, voices, and what is held, made and charged."""
