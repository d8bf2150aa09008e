"""The pages of the documentation: each is found from the index, and the reference has every public name."""

import re
from pathlib import Path

import chargehand
from chargehand import testing
from chargehand.cli.main import COMMANDS

DOCS = Path(__file__).parents[1] / "docs"
NAMED = re.compile(r"^::: chargehand\.([\w.]+)$", re.MULTILINE)


def test_the_index_and_the_navigation_link_every_page():
    pages = {str(one.relative_to(DOCS)) for one in DOCS.glob("*.md")} - {"index.md"} | {"reference/index.md"}
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert pages <= set(re.findall(r"\]\(([\w/-]+\.md)", index))
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert pages <= set(re.findall(r"[\w/-]+\.md", navigation))


def test_the_reference_has_every_public_name_once():
    found = [name for page in (DOCS / "reference").glob("*.md") for name in NAMED.findall(page.read_text())]
    wanted = [*chargehand.__all__, *(f"testing.{name}" for name in testing.__all__)]
    assert sorted(found) == sorted(wanted)


def test_the_index_of_the_reference_links_its_pages():
    folder = DOCS / "reference"
    index = (folder / "index.md").read_text(encoding="utf-8")
    assert {one.name for one in folder.glob("*.md")} - {"index.md"} == set(
        re.findall(r"\]\((\w+\.md)", index)
    )


def test_each_alert_has_its_steps_in_the_operators_guide():
    rules = (DOCS.parent / "monitoring" / "prometheus-rules.yml").read_text(encoding="utf-8")
    guide = (DOCS / "operators-guide.md").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert alerts
    assert re.findall(r"^\| `(Chargehand\w+)` \|", guide, re.MULTILINE) == alerts


def test_each_command_that_the_operators_guide_names_is_one():
    guide = (DOCS / "operators-guide.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`chargehand ([a-z][a-z-]+)", guide)) | set(
        re.findall(r"^ *\$ chargehand ([a-z-]+)", guide, re.MULTILINE)
    )
    assert len(named) > 10
    assert named <= set(COMMANDS)
