"""Fixtures: a central system on real sockets, in this process."""

import pytest

from ..in_process import system_with


@pytest.fixture
def system():
    with system_with() as system:
        yield system
