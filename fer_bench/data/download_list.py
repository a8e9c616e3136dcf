"""The list of links a dataset is downloaded from, and where below the root folder each file may go."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.errors import BadDataError, MissingDataError

CONTROL_FOLDER = ".fer_bench-download"

# Control characters, what Windows reserves (":" also makes drives and streams), and the separator of Windows.
_BAD_CHARACTERS = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_MAX_COMPONENT_BYTES = 240  # file systems take 255; the temporary name needs a few


@dataclass(frozen=True)
class Wanted:
    """One image and where it may be had.

    Args:
        rel_path: as the list gives it, without a leading slash.
        urls: to be tried in this order.
    """

    rel_path: str
    urls: tuple[str, ...]


def read_url_list(path: Path) -> list[Wanted]:
    """Read ``dataset_urls_exploded.json``: a list of ``{rel_path, url, idx_url}``, an entry per link.

    Args:
        path: of the file.

    Returns:
        One entry per image, in the order of first mention; its links in the order of ``idx_url``.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is not of this format; names the entry.
    """
    if not path.is_file():
        problem = f"{path}: no such file."
        raise MissingDataError(problem, "FindingEmo's list of links is called dataset_urls_exploded.json and comes with its code repository.")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        problem = f"{path} is not JSON: {error}."
        raise BadDataError(problem) from error
    if not isinstance(entries, list):
        problem = f"{path} holds a {type(entries).__name__}, not a list of links."
        raise BadDataError(problem)
    links: dict[str, list[tuple[int, str]]] = {}
    for number, entry in enumerate(entries):
        rel_path, index, url = _link(entry, f"{path}, entry {number}")
        links.setdefault(rel_path, []).append((index, url))
    return [Wanted(rel_path, tuple(dict.fromkeys(url for _, url in sorted(found)))) for rel_path, found in links.items()]


def _link(entry: Any, where: str) -> tuple[str, int, str]:
    values = [entry.get(key) for key in ("rel_path", "idx_url", "url")] if isinstance(entry, dict) else [None]
    match values:
        case [str(rel_path), int() | str() as index, str(url)] if re.fullmatch(r"\d+", str(index)):
            return rel_path.lstrip("/"), int(index), url.strip()
    problem = f"{where}: expected rel_path (text), idx_url (a number) and url (text), found {str(entry)[:80]}."
    raise BadDataError(problem)


def safe_target(root: Path, rel_path: str) -> Path | None:
    """Where a file of the list goes.

    A leading slash is forgiven (lists have it) and means the root folder, never the machine's.

    Args:
        root: folder to download into, resolved.
        rel_path: as the list gives it.

    Returns:
        The path below ``root``, or None for one that would leave it (by ``..`` or a link), that is not a plain file name on
        every system, or that lies in the folder of the journal.
    """
    names = rel_path.lstrip("/").split("/")
    if names[0].lower() == CONTROL_FOLDER or not all(map(_plain, names)):
        return None
    target = root.joinpath(*names)
    try:
        inside = target.parent.resolve().is_relative_to(root)
    except OSError:
        return None
    return target if inside and not target.is_symlink() else None


def _plain(name: str) -> bool:
    """Whether a name is that of a file on every system."""
    if name in ("", ".", "..") or _BAD_CHARACTERS.search(name):
        return False
    return len(name.encode(errors="replace")) <= _MAX_COMPONENT_BYTES
