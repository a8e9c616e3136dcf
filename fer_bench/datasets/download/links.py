"""The list of links a dataset is downloaded from, and where below the root folder each file may go."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.data.file_names import collision_key, stored_path, unfit
from fer_bench.datasets.findingemo.manifest import MANIFEST
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.protocols.findingemo import FINDINGEMO

CONTROL_FOLDER = ".fer_bench-download"

_MAX_DIGITS = 18  # of a number in the list; Python refuses to read one of thousands of digits


@dataclass(frozen=True)
class Wanted:
    """One image and where it may be had.

    Args:
        rel_path: as the list gives it, without a leading slash.
        urls: to be tried in this order.
        defect: why the entry is not used; empty for a good one.
    """

    rel_path: str
    urls: tuple[str, ...]
    defect: str = ""


def read_url_list(path: Path) -> list[Wanted]:
    """Read ``dataset_urls_exploded.json``: a list of ``{rel_path, url, idx_url}``, an entry per link.

    Args:
        path: of the file.

    Returns:
        One entry per image, in the order of first mention; its links in the order of ``idx_url``. Entries that are not
        of this format, whose path no system can store, or whose file would be another's on some systems, have a
        ``defect``.

    Raises:
        MissingDataError: there is no such file.
        BadDataError: it is not of this format, or no entry is.
    """
    if not path.is_file():
        problem = f"{path}: no such file."
        raise MissingDataError(problem, FINDINGEMO.how_to_get)
    try:
        # Bytes that are not UTF-8 become characters that spoil their own entry only, and so do numbers without end.
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        entries = json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else digits)
    except (ValueError, RecursionError) as error:
        problem = f"{path} is not JSON: {str(error) or type(error).__name__}."
        raise BadDataError(problem) from error
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}."
        raise BadDataError(problem, "Check the disk and the permissions.") from error
    if not isinstance(entries, list):
        problem = f"{path} holds a {type(entries).__name__}, not a list of links."
        raise BadDataError(problem)
    links: dict[str, list[tuple[int, str]]] = {}
    malformed = []
    for number, entry in enumerate(entries):
        match _link(entry):
            case (rel_path, index, url):
                links.setdefault(rel_path, []).append((index, url))
            case None:
                defect = f"expected rel_path (text), idx_url (a number) and url (text), found {_shown(entry)}"
                malformed.append(Wanted(f"(entry {number})", (), defect))
    if malformed and not links:
        problem = f"{path}, {malformed[0].rel_path[1:-1]}: {malformed[0].defect}."
        raise BadDataError(problem, "No entry of the list can be used.")
    return [*_without_collisions(links), *malformed]


def _shown(entry: Any) -> str:
    try:
        return ascii(entry)[:80]
    except RecursionError:
        return type(entry).__name__


def _link(entry: Any) -> tuple[str, int, str] | None:
    values = [entry.get(key) for key in ("rel_path", "idx_url", "url")] if isinstance(entry, dict) else [None]
    match values:
        case [str(rel_path), int() | str() as index, str(url)] if re.fullmatch(
            rf"[0-9]{{1,{_MAX_DIGITS}}}", str(index)
        ):
            return rel_path.lstrip("/"), int(index), url.strip()
    return None


def _without_collisions(links: dict[str, list[tuple[int, str]]]) -> list[Wanted]:
    first: dict[str, str] = {}
    wanted = []
    for rel_path, found in links.items():
        defect = unfit(rel_path) or ""
        if not defect and (other := first.setdefault(collision_key(rel_path), rel_path)) != rel_path:
            defect = f"on some systems the same file as {other}"
        wanted.append(Wanted(rel_path, tuple(dict.fromkeys(url for _, url in sorted(found))), defect))
    return wanted


def safe_target(root: Path, rel_path: str) -> Path | None:
    """Where a file of the list goes.

    A leading slash is forgiven (lists have it) and means the root folder, never the machine's. Characters that Windows
    reserves are percent-encoded.

    Args:
        root: folder to download into, resolved.
        rel_path: as the list gives it.

    Returns:
        The path below ``root``, or None for one that would leave it (by ``..`` or a link), that is not a plain file
        name on every system, or that is in the folder of the journal or the manifest's place.
    """
    bare = rel_path.lstrip("/")
    if unfit(bare) or collision_key(bare.split("/")[0]) in (CONTROL_FOLDER, MANIFEST):
        return None
    target = root / stored_path(bare)
    try:
        inside = target.parent.resolve().is_relative_to(root)
        return target if inside and not target.is_symlink() else None
    except OSError:  # too long for this system, a folder that may not be entered
        return None
