"""Taking money: asking for a payment, processing it, the customer's card, and the gateways that
move the money.
"""
