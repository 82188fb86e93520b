"""Plans, which are granted period by period, and credits that staff grants."""
