"""The dialect of OpenAI's clients: addresses under `/v1/audio` and `/v1/models`."""
