"""Events of visitors: the form of a batch, and the writer that makes many requests' events durable in one transaction.

What an event changes in a visitor's list stands in `api.served.live`.
"""
