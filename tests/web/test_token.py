"""The token: which one it is, and who can read it."""

import stat

import pytest

from chargehand import HttpSettings, Settings
from chargehand.web.token import choose_token, publish_token


def settings(folder, **http):
    return Settings(data=str(folder / "data"), http=HttpSettings(enabled=True, **http))


def test_a_token_is_made_anew_each_time(tmp_path):
    tokens = {choose_token(settings(tmp_path)) for _ in range(10)}
    assert len(tokens) == 10
    assert all(len(token) >= 43 for token in tokens)


def test_a_token_from_the_settings_is_taken(tmp_path):
    assert choose_token(settings(tmp_path, token="mine")) == "mine"


def test_an_open_api_has_none(tmp_path):
    assert choose_token(settings(tmp_path, open=True)) is None
    assert choose_token(settings(tmp_path, open=True, token="mine")) is None


def test_a_token_that_was_made_is_written_for_its_owner_only(tmp_path):
    publish_token(settings(tmp_path), "made")
    folder = tmp_path / "data"
    assert (folder / "token").read_text() == "made\n"
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    publish_token(settings(tmp_path), "newer")
    assert (folder / "token").read_text() == "newer\n"
    assert [path.name for path in folder.iterdir()] == ["token"]


@pytest.mark.parametrize(("token", "http"), [("mine", {"token": "mine"}), (None, {"open": True})])
def test_the_file_of_an_earlier_start_is_removed_when_it_would_mislead(tmp_path, token, http):
    publish_token(settings(tmp_path), "old")
    publish_token(settings(tmp_path, **http), token)
    assert list((tmp_path / "data").iterdir()) == []


def test_nothing_is_made_where_there_is_nothing_to_write(tmp_path):
    publish_token(settings(tmp_path, token="mine"), "mine")
    assert list(tmp_path.iterdir()) == []
