"""Plugins in processes of their own: the streams between the central system and its plugin hosts.

The one rule: each stream is consumed by one plugin host at a time.
"""
