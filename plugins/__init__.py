"""Bundled plugins, made with the public API of plugins only."""
