"""HTTP itself.

What belongs here: the guarded protocol, the fast lane, the limits around FastAPI, problem details, and draining before the end. What does
not: what a route means (`api.routes`), and what makes a key valid (`api.keys`).
"""
