"""The HTTP API, on a port of its own: what operators and programs see of a running central system, and do with it.

One rule: it asks `CentralSystem` and nothing below it. Never blocks the hub; a request that waits costs one greenlet.
"""
