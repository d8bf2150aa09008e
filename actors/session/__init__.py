"""The session of one charge point: its cell (state and inbox), its actor (behaviour), its commands and its calls.

The one rule: nothing on a session's path blocks or asks; whoever it needs is told, and tells it back.
"""
