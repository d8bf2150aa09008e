"""HTTP API of a running central system, on a port of its own, for operators and programs.

One rule: it asks `CentralSystem` and nothing below it. Never blocks the hub; a request that waits costs one greenlet.
"""
