"""The fault that tests plant in plugins and sessions."""


class PlantedFault(Exception):
    """A fault of the test's own, told apart from every other."""
