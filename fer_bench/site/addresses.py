"""Where things are on the site: addresses that stay, and that every server and file system takes; pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from fer_bench.leaderboard.formatting import record_folder
from fer_bench.leaderboard.reported import Source
from fer_bench.results.grids import record_file
from fer_bench.results.record import Record
from fer_bench.scoring.rows import Row

_ODD = re.compile(r"[^a-z0-9._+-]+")
_LONGEST = 100
_DIGITS = 8


def slug(text: str) -> str:
    """A text as the name of a file: itself where it is plain, else what is plain of it and a digest of the whole."""
    plain = _ODD.sub("-", text).strip(".-")[:_LONGEST]
    if plain == text and plain:
        return plain
    return f"{plain}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:_DIGITS]}".lstrip("-")


def board(protocol: str, ending: str = "html") -> str:
    """A protocol's page, or its board as a file of another ending."""
    return f"boards/{slug(protocol)}.{ending}"


def row(found: Row, ending: str = "html", copy: str = "") -> str:
    """A row's page, its data (``js``) or its badge (``svg``).

    Args:
        found: the row.
        ending: of the file.
        copy: digest of its copy of the data, where another copy's rows come first on the board: the same settings may
            have been run on both.
    """
    return f"rows/{slug(found.records[0].protocol)}/{row_id(found, copy)}.{ending}"


def row_id(found: Row, copy: str = "") -> str:
    """A row's name among those of its protocol; arguments as of :func:`row`."""
    return slug("-".join([found.model, found.key, *([copy] if copy else [])]))


def dataset(name: str) -> str:
    """A dataset's page."""
    return f"datasets/{slug(name)}.html"


def paper(source: Source) -> str:
    """A paper's page."""
    return f"papers/{slug(f'{source.short} {source.title}'.lower())}.html"


def record(found: Record) -> str:
    """A record to download; below ``results/`` as in the store, so that what is downloaded can be verified."""
    return f"{record_folder(found)}/{record_file(found)}"


def predictions(found: Record, split: str) -> str:
    """The predictions of a record to download."""
    return f"{record_folder(found)}/{found.predictions[split].file}"


def link(address: str, page: str = "") -> str:
    """An address as a link on a page of the site.

    Args:
        address: from the site's root.
        page: the address of the page that has the link.
    """
    return "../" * page.count("/") + quote(address)
