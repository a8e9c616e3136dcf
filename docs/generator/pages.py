"""The reference pages by their places below ``docs``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .commands import commands_page
from .datasets import datasets_page
from .names import names_page
from .settings import ROOT, settings_page
from .suites import suites_page

DOCS = ROOT / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/command-line.md": commands_page,
    "reference/datasets.md": datasets_page,
    "reference/suites.md": suites_page,
    "reference/names.md": names_page,
}


def stale() -> dict[Path, str]:
    """The pages that are not what the code says now, with what they should be."""
    wanted = {DOCS / place: make() for place, make in PAGES.items()}
    return {path: text for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text}
