import datetime as dt

import pytest

from chargehand import v16
from chargehand.simulator.authorization import Authorization
from chargehand.simulator.configuration import Configuration

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ACCEPTED = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED)
BLOCKED = v16.IdTagInfo(status=v16.AuthorizationStatus.BLOCKED)


@pytest.fixture
def configuration():
    return Configuration({"SendLocalListMaxLength": "3", "LocalAuthListMaxLength": "4"})


@pytest.fixture
def authorization(configuration):
    return Authorization(configuration)


def send(version, *entries, update_type=v16.UpdateType.FULL):
    return v16.SendLocalList(
        list_version=version,
        update_type=update_type,
        local_authorization_list=tuple(
            v16.AuthorizationData(id_tag=id_tag, id_tag_info=info) for id_tag, info in entries
        ),
    )


def test_a_full_update_replaces_the_list(authorization):
    tags = authorization.list
    assert tags.version == 0
    assert tags.update(send(7, ("A", ACCEPTED), ("B", BLOCKED))) == "Accepted"
    assert tags.update(send(3, ("C", ACCEPTED))) == "Accepted"
    assert (tags.version, set(tags.tags)) == (3, {"C"})


def test_a_differential_update_amends_the_list(authorization):
    tags = authorization.list
    tags.update(send(1, ("A", ACCEPTED), ("B", ACCEPTED)))
    update = send(2, ("A", BLOCKED), ("B", None), update_type=v16.UpdateType.DIFFERENTIAL)
    assert tags.update(update) == "Accepted"
    assert tags.tags == {"A": BLOCKED}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (send(1, ("B", ACCEPTED), update_type=v16.UpdateType.DIFFERENTIAL), "VersionMismatch"),
        (send(0, ("B", ACCEPTED)), "Failed"),
        (send(2, ("B", None)), "Failed"),
        (send(2, ("B", ACCEPTED), ("B", BLOCKED)), "Failed"),
        (send(2, *((f"T{n}", ACCEPTED) for n in range(4))), "Failed"),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(authorization, request_, answer):
    authorization.list.update(send(1, ("A", ACCEPTED)))
    assert authorization.list.update(request_) == answer
    assert (authorization.list.version, authorization.list.tags) == (1, {"A": ACCEPTED})


def test_a_list_does_not_grow_over_its_length(authorization):
    authorization.list.update(send(1, *((f"A{n}", ACCEPTED) for n in range(3))))
    more = send(2, *((f"B{n}", ACCEPTED) for n in range(2)), update_type=v16.UpdateType.DIFFERENTIAL)
    assert authorization.list.update(more) == "Failed"


def test_a_list_that_is_switched_off_has_version_minus_1(authorization, configuration):
    configuration.set("LocalAuthListEnabled", "false")
    assert authorization.list.version == -1
    assert authorization.list.update(send(1, ("A", ACCEPTED))) == "NotSupported"


def test_the_list_goes_before_the_cache(authorization):
    authorization.remember("A", ACCEPTED)
    authorization.list.update(send(1, ("A", BLOCKED)))
    assert authorization.offline("A", NOW).status == "Blocked"


def test_the_cache_takes_no_tag_of_the_list(authorization):
    authorization.list.update(send(1, ("A", BLOCKED)))
    authorization.remember("A", ACCEPTED)
    assert authorization.cache == {}


def test_an_entry_that_has_expired_says_so(authorization):
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED, expiry_date=NOW)
    authorization.remember("A", info)
    assert authorization.offline("A", NOW - dt.timedelta(seconds=1)).status == "Accepted"
    assert authorization.offline("A", NOW).status == "Expired"


@pytest.mark.parametrize(("unknown_ones", "verdict"), [("true", "Accepted"), ("false", "Invalid")])
def test_an_unknown_tag_is_judged_by_the_configuration(authorization, configuration, unknown_ones, verdict):
    configuration.set("AllowOfflineTxForUnknownId", unknown_ones)
    assert authorization.offline("A", NOW).status == verdict


def test_a_cache_that_is_switched_off_neither_keeps_nor_tells(authorization, configuration):
    authorization.remember("A", ACCEPTED)
    configuration.set("AuthorizationCacheEnabled", "false")
    authorization.remember("B", ACCEPTED)
    assert authorization.known("A", NOW) is None
    assert set(authorization.cache) == {"A"}
