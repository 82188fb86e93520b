"""Usage at Metronome: reported, compared, and made up for where it is missing."""
