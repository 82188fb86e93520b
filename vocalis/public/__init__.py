"""Pages for everybody, which need no account: the front page, the documents, the status."""
