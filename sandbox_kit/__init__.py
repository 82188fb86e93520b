"""What every sandbox of an API needs: a clock, faults, a store, deliveries, a server.

It knows no API. `sandbox/` and `stripe_sandbox/` are built on it, and each can be installed with it
alone.
"""
