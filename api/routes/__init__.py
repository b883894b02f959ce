"""The endpoints, one module for each thing that is asked about, with their models and examples for the OpenAPI document.

How an answer is worked out stands in `api.served`; limits, time-outs and the fast lane in `api.http`.
"""
