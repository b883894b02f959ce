"""Events of visitors.

What belongs here: the form of a batch, and the writer that makes many requests' events durable in one transaction. What does not: what an
event changes in a visitor's list (`api.served.live`).
"""
