"""How well the house voices are understood and how good they sound: `make voice-check`.

    speak (as the product does, in .venv) → measure (with models of its own, in .venv-voice-check)

`measure` imports nothing of the product: what it needs is in the folder that `speak` writes.
"""
