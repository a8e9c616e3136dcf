"""The fenced blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: its file.
        line: its first line there.
        language: bash, python, yaml, ...
        needs: what a machine that only runs tests lacks; empty: nothing.
        text: what is in it.
    """

    page: Path
    line: int
    language: str
    needs: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str:
        """The file that it is, by the comment on its first line; empty: none."""
        found = re.match(r"# ([\w/.]+\.(?:py|yaml))\n", self.text)
        return found[1] if found else ""

    def commands(self) -> Iterator[list[str]]:
        """The commands of a block of bash, without comments."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def pages() -> list[Path]:
    """The pages that people write, and the README."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found["language"], found["title"] or "", found["text"])
        for found in _FENCE.finditer(text)
    ]
