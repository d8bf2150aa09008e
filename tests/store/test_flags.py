"""Flags of transactions have a stable code beside their text."""

import pytest

from chargehand.store.records import flag_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("its id tag was Blocked", "id_tag_not_accepted"),
        ("reservation 5 had expired", "reservation_doubtful"),
        ("the meter ran backwards", "meter_backwards"),
        ("2000000 Wh are more than can be", "energy_suspect"),
        ("it stopped before it started, by its own clock", "stopped_before_start"),
        ("it was stopped with T2, whose parent is not the same", "stopped_by_other_tag"),
        ("StartTransaction was acknowledged by a fallback", "redelivered"),
        ("StopTransaction was acknowledged by a stand-in", "redelivered"),
        ("timestamp is null; the time of receipt stands in: null", "time_of_receipt"),
        ("timestamp has no time zone", "other"),
        ("something that nobody knows", "other"),
    ],
)
def test_a_flag_has_its_code_also_as_an_earlier_version_wrote_it(text, code):
    assert flag_code(text) == code
