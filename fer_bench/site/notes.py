"""Notes on a dataset, written in Markdown, as a part of its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from fer_bench.escaping import visible
from fer_bench.leaderboard.formatting import URL
from fer_bench.site import addresses

_FOLDER = "notes"


def render(path: Path, page: str, pages: Mapping[str, str]) -> tuple[str, dict[str, Path]]:
    """HTML of a file of notes; markup in it stays text, and links lead to pages of the site or to nowhere.

    Args:
        path: the file, in a folder of the boards.
        page: address of the page that shows it.
        pages: addresses on the site by the names of files beside the boards.

    Returns:
        HTML, and the pictures that it shows: address and file.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(visible(path.read_text(encoding="utf-8")))
    pictures: dict[str, Path] = {}
    # The page has a heading of its own.
    tokens = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        for child in token.children or ():
            if child.type == "link_open":
                _lead(child, page, pages)
            elif child.type == "image":
                _show(child, path.parent, page, pictures)
    return parser.renderer.render(tokens, parser.options, {}), pictures


def _lead(token: Token, page: str, pages: Mapping[str, str]) -> None:
    target = str(token.attrs.pop("href", ""))
    name = normpath(f"{_FOLDER}/{unquote(target.partition('#')[0])}")
    if name in pages:
        token.attrs["href"] = addresses.link(pages[name], page)
    elif URL.fullmatch(target):
        token.attrs["href"] = target


def _show(token: Token, folder: Path, page: str, pictures: dict[str, Path]) -> None:
    """A picture below the boards is copied; any other is left out."""
    source = unquote(str(token.attrs.get("src", "")))
    name = normpath(f"{_FOLDER}/{source}")
    file = folder.parent / name
    token.attrs["src"] = ""
    inside = not name.startswith("..") and file.resolve().is_relative_to(folder.parent.resolve())
    if inside and file.suffix == ".png" and file.is_file():
        pictures[name] = file
        token.attrs["src"] = addresses.link(name, page)
