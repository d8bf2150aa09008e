"""Several processes that share their charge points: coordinators, leases with epochs, claims, forwarded commands.

The one rule: the holder of a charge point proves it by its epoch.
"""
