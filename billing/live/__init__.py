"""The balance on every open page: states, the streams that carry them, and what makes these look."""
