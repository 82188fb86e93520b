"""The public API: OpenAI's and ElevenLabs' dialects and our own, on one balance.

No models and no rules are here: only how a request is read and an answer written. What a dialect
shares with the others:

- `access.endpoint`: the key, its scope, and every error in the dialect's words;
- `audio`: speech as an answer that is sent while it is made;
- `failures.Failure`: why something is not done, before a dialect puts it in its shape;
- `middleware`: what is answered outside a view (404, 405, 413, 500, 503), CORS, request ids.
"""
