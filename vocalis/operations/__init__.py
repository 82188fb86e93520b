"""What operators do that touches every app."""
