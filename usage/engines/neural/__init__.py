"""What the neural engines share inside their helpers: phonemes, model sessions, sound.

Only `model` modules import from here, so that numpy and onnxruntime stay out of the web process.
"""

SAMPLE_RATE = 24_000
