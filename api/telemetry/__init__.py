"""What a worker says of itself.

What belongs here: counters for Prometheus, a log without personal data, and traces where they are configured. What does not: readiness,
which is a route.
"""
