"""What every sandbox of an API needs: a clock, faults, a store, deliveries, a server.

It knows no API.
"""
