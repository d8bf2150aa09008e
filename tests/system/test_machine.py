"""Memory that this process may use, from files as Linux has them."""

import os

import pytest

from chargehand.system import machine

GIB = 1 << 30


@pytest.fixture
def linux(tmp_path):
    """Write files as the kernel shows them, and return the two folders."""

    def write(files):
        for name, text in {
            "proc/meminfo": f"MemFree: 1 kB\nMemTotal: {8 * GIB // 1024} kB\n",
            **files,
        }.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "proc", tmp_path / "cgroup"

    return write


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 8 * GIB),
        ({"proc/self/cgroup": "0::/\n", "cgroup/memory.max": f"{GIB}\n"}, GIB),
        ({"proc/self/cgroup": "0::/a/b\n", "cgroup/a/memory.max": f"{GIB}\n", "cgroup/a/b/memory.max": "max\n"}, GIB),
        ({"proc/self/cgroup": "0::/of/the/host\n", "cgroup/memory.max": f"{GIB}\n"}, GIB),
        (
            {"proc/self/cgroup": "4:cpu,memory:/x\n", "cgroup/memory/x/memory.limit_in_bytes": f"{2 * GIB}\n"},
            2 * GIB,
        ),
        ({"proc/self/cgroup": "4:memory:/\n", "cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}, 8 * GIB),
        ({"proc/self/cgroup": "0::/\n", "cgroup/memory.max": f"{64 * GIB}\n"}, 8 * GIB),
        ({"proc/meminfo": "nonsense\n"}, None),
    ],
)  # fmt: skip
def test_the_limit_is_the_least_of_the_machine_and_the_control_groups(linux, files, limit):
    assert machine.memory_limit(*linux(files)) == limit


def test_a_machine_that_tells_nothing_has_no_limit(tmp_path):
    assert machine.memory_limit(tmp_path, tmp_path) is None
    assert machine.memory_in_use(tmp_path) is None


def test_the_resident_memory_is_the_second_number_in_pages(linux):
    proc, _ = linux({"proc/self/statm": "900 250 3 4 5 6 7\n"})
    assert machine.memory_in_use(proc) == 250 * os.sysconf("SC_PAGE_SIZE")


def test_a_folder_that_is_not_there_has_no_disk(tmp_path):
    assert machine.free_bytes(str(tmp_path / "none")) is None
    assert machine.free_bytes(str(tmp_path)) > 0
