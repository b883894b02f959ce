"""The serving API: what a run published, answered over HTTP.

What belongs here: the FastAPI application, its keys, what a worker holds in memory, and the commands `plinth serve` and `plinth key`.
What does not: how lists are made (`plinth.recommend`, `plinth.promote`), where versions are kept (`plinth.online`), and anything of
Dagster: the API imports plinth and nothing above it.

The way of a request: `http.protocol` (bytes; `http.direct` answers plain GETs by key whose answer lies ready) → `http.fast` (the other ones
whose answer lies ready) → `http.guard` (limits, time-outs) → `routes` (everything else, and the OpenAPI document).
"""
