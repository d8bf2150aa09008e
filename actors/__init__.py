"""Actors: the runtime, the session of a charge point, and plugins, in three folders that build on one another."""
