"""What customers see of speech: the studio, their own voices, and what they have used."""
