"""The endpoints, one module for each thing that is asked about.

What belongs here: routes, with their models and examples for the OpenAPI document. What does not: how an answer is worked out
(`api.served`), and limits, time-outs and the fast lane (`api.http`).
"""
