"""The central system: everything put together, started from left to right and stopped from right to left.

The one rule: it imports neither the HTTP API nor a plugin; its caller hands them over.
"""
