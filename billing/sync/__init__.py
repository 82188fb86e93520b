"""Keeping Vocalis and Metronome in agreement.

Metronome is authoritative for money; the ledger decides what may be spent now. Customers and
contracts are created at Metronome. Grants are mirrored here, whoever created them. Balances are
compared, and a difference that usage in flight does not explain becomes a Drift row.
"""
