"""Plans, chosen and given period by period, and credits that a person gives."""
