"""The dialect of ElevenLabs' clients: the key in `xi-api-key`."""
