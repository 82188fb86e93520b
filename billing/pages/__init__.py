"""What customers see of money: the overview, the plans, and what is late."""
