"""The program `chargehand`: what the library leaves to its host, done for those who have none.

One rule: only this folder patches, handles signals, configures logging, or ends the process.
"""
