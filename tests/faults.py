"""Exception that tests plant in plugins and sessions."""


class PlantedFault(Exception):
    """Planted exception, distinct from every other."""
