"""HTTP itself: the guarded protocol, the fast lane, the limits around FastAPI, problem details, and draining before the end.

No route's meaning stands here (`api.routes`), and no key is checked here other than by asking `api.keys`.
"""
