"""Admission: who may connect, as whom, with which credentials, and how often.

The one rule: a refused handshake never disturbs the session that lives.
"""
