"""Settings: declaration (`settings`), checks (`schema`, `checks`), sources (`load`).

One rule: this folder knows names and values only. Never imports what it configures.
"""
