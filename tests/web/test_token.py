"""The bearer token, and files that only their owner may read."""

import os
import stat

import pytest

from chargehand import HttpSettings, Settings
from chargehand.web.token import choose_token, make_private_folder, publish_token, write_private


def settings(folder, **http):
    return Settings(data=str(folder / "data"), http=HttpSettings(enabled=True, **http))


def test_each_token_is_new(tmp_path):
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


# Files for their owner only


@pytest.fixture
def _no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
def test_the_file_has_its_mode_from_its_first_moment(tmp_path, monkeypatch):
    modes = []
    really_open = os.open

    def watched(path, flags, mode=0o777):
        descriptor = really_open(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        assert flags & os.O_EXCL
        return descriptor

    monkeypatch.setattr("chargehand.web.token.os.open", watched)
    write_private(tmp_path / "f", "text")
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


def test_a_file_that_others_could_read_is_replaced_and_not_written_into(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, "secret")
        assert reader.read() == "old"
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "f").symlink_to(tmp_path / "elsewhere")
    write_private(tmp_path / "f", "secret")
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert not (tmp_path / "f").is_symlink()


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    (tmp_path / "f").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_private(tmp_path / "f", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


@pytest.mark.usefixtures("_no_umask")
def test_a_folder_is_made_for_its_owner_and_one_that_is_there_keeps_its_mode(tmp_path):
    make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "c").mkdir(mode=0o755)
    make_private_folder(tmp_path / "c")
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o755
