class DocumentRefused(ValueError):
    """A file cannot be read. The message tells the customer why, and what to do."""
