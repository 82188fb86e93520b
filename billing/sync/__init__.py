"""Metronome is the truth about money, the ledger about "now": how the two are kept together.

Customers and contracts are made there; grants are mirrored here, whoever made them, from whichever path hears of them
first; balances are compared, and a difference that nothing under way explains becomes a row.
"""
