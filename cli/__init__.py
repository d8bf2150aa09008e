"""The program `chargehand`: does what the library leaves to its host application.

One rule: only this folder patches, handles signals, configures logging, or ends the process.
"""
