"""Usage at Metronome: reported, reconciled, and sent again where it is missing."""
