"""Settings: what they are (`settings`), how they are checked (`schema`, `checks`), whence they come (`load`).

One rule: this folder knows names and values only. Never imports what it configures.
"""
