"""Keys of the API: what a key is, where its hash is kept, and the ring that a worker checks requests against.

What a route needs as a scope is said by the route (`api.routes`).
"""
