"""Recompute submissions, compare them with their claims, and print a table.

    python leaderboards/submissions/check.py [FILE.yaml ...] [--data-dir DIR] [--output TABLE.md] [--add]

Without files all YAML files beside this script are checked. Exit code 1 where one of them does not agree.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fer_bench.leaderboard.render import render_all
from fer_bench.results.store import Store
from fer_bench.submissions.claims import check, table


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(description="Recompute submissions and compare them with their claims.")
    parser.add_argument("files", nargs="*", type=Path, help="YAML files; none: all beside this script")
    parser.add_argument("--data-dir", help="where the datasets are; without them, targets come from records")
    parser.add_argument("--output", type=Path, help="write the table into this file, too")
    parser.add_argument("--add", action="store_true", help="put what agrees into the leaderboards")
    given = parser.parse_args()
    store = Store()
    files = given.files or sorted(Path(__file__).parent.glob("*.yaml"))
    found = [check(store, path, given.data_dir, add=given.add) for path in files]
    if given.add and any(one.on_record for one in found):
        render_all(store)
    text = table(found)
    print(text, end="")
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    return int(any(one.problems for one in found))


if __name__ == "__main__":
    sys.exit(main())
