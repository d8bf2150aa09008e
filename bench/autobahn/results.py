"""Print the results of Autobahn: a line for each agent and section, and every case that is not OK.

python bench/autobahn/results.py reports/index.json
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

BINARY = "binary: refused with 1003, as OCPP-J wants it"
TOO_LARGE = "over max_message_bytes: refused with 1009"
# Cases whose messages are binary, or whose pattern needs one, and cases over 1 MiB.
EXPECTED = {
    **dict.fromkeys(("1.2.", "9.2.", "9.4.", "9.6.", "9.8."), BINARY),
    **dict.fromkeys(("9.1.4", "9.1.5", "9.1.6", "9.3."), TOO_LARGE),
}


def expected(case: str) -> str:
    """Return the reason why a case cannot pass; an empty text if there is none."""
    return next((reason for start, reason in EXPECTED.items() if case.startswith(start)), "")


def show(agent: str, cases: Mapping[str, Mapping[str, str]]) -> None:
    sections: dict[int, Counter[str]] = {}
    others = []
    for case in sorted(cases, key=lambda case: [int(part) for part in case.split(".")]):
        found = cases[case]
        sections.setdefault(int(case.split(".")[0]), Counter())[found["behavior"]] += 1
        if not {found["behavior"], found["behaviorClose"]} <= {"OK", "INFORMATIONAL"}:
            others.append(f"  {case}: {found['behavior']}, close {found['behaviorClose']}  {expected(case)}")
    print(agent)
    for section, counts in sections.items():
        print(f"  section {section}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    print("\n".join(others) or "  nothing else", end="\n\n")


def main(index: str) -> None:
    for agent, cases in json.loads(Path(index).read_text()).items():
        show(agent, cases)


if __name__ == "__main__":
    main(sys.argv[1])
