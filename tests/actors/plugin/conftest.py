"""Fixtures: the spool's stage, where a test makes none of its own, and a charge point on it."""

import pytest


@pytest.fixture
def stage(spool_harness):
    return spool_harness.stage


@pytest.fixture
def charge_point(stage):
    return stage.connect("CP1")
