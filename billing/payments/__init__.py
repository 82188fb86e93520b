"""Taking money: the workflow of a payment, the customer's card, and the gateways that move the money."""
