"""The page about tests of plugins: its blocks are tests, and pass."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_has_blocks() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"def (test_\w+)", block)[1])
def test_a_block_of_the_page_passes(block: str) -> None:
    names: dict[str, object] = {"__name__": "page"}
    exec(block, names)
    tests = [one for name, one in names.items() if name.startswith("test_")]
    assert tests
    for one in tests:
        one()
