"""Supervision after OTP: child specs, strategies, restart intensity, and the supervisors of a system.

The one rule: a supervisor knows how to start, stop and restart its children, and nothing of what they do.
"""
