"""Keys of the API.

What belongs here: what a key is, where its hash is kept, and the ring that a worker checks requests against. What does not: which scope a
route needs (`api.routes`).
"""
