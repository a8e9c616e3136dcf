"""Writes the reference pages; with ``--check`` only says which are out of date, and exits with 1 if any is."""

from __future__ import annotations

import sys

from .pages import ROOT, stale


def main(arguments: list[str]) -> int:
    """Write or check the pages.

    Returns:
        The exit code.
    """
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m docs.generator [--check]", file=sys.stderr)
        return 2
    found = stale()
    for path, text in found.items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'out of date' if check else 'wrote'}: {path.relative_to(ROOT)}")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
