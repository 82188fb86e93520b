"""Speaking: prices, voices, and a text or a voice made for credits."""
