"""The link to Redis: its address, and one connection with one owner that survives cuts.

The one rule: one greenlet owns a connection.
"""
