"""Files for their owner only."""

import os
import stat

import pytest

from chargehand.web.token import make_private_folder, write_private


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
