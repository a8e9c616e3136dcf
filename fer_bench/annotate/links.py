"""Personal links: made once, shown once; the database keeps only their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fer_bench.annotate.export import write_file
from fer_bench.annotate.store import AnswerStore, Role
from fer_bench.errors import SpecError
from fer_bench.escaping import csv_text

_ENTRANCES = {"admin": "/admin/enter/", "screener": "/prescreen/enter/"}


@dataclass(frozen=True)
class Link:
    """One personal link.

    Args:
        role: rater, admin or screener.
        name: name of the rater, else the role.
        url: to be given to that person and nobody else.
    """

    role: str
    name: str
    url: str


def check_base_url(base_url: str) -> str:
    """The address under which raters reach the server, without a trailing slash.

    Raises:
        SpecError: it is not an http(s) address without path.
    """
    parts = urlsplit(base_url)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.netloc
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        problem = f"address {base_url!r} is not of the form https://host[:port]."
        raise SpecError(problem, "Give the address raters will see, for example https://study.example.org.")
    return f"{parts.scheme}://{parts.netloc}"


def rater_links(store: AnswerStore, base_url: str, names: list[str]) -> list[Link]:
    """Create raters and their links.

    Raises:
        SpecError: a name is taken or not usable, or the address is malformed; then no rater is created.
    """
    base = check_base_url(base_url)
    return [Link("rater", name, f"{base}/r/{token}") for name, token in store.add_raters(names)]


def renewed_link(store: AnswerStore, base_url: str, name: str) -> Link:
    """A new link for a rater; the old one stops working.

    Raises:
        SpecError: there is no such rater, or the address is malformed.
    """
    base = check_base_url(base_url)
    return Link("rater", name, f"{base}/r/{store.renew_rater(name)}")


def staff_link(store: AnswerStore, base_url: str, role: Role) -> Link:
    """A new link for the admin page or for pre-screening; an earlier one of that role stops working.

    Raises:
        SpecError: the address is malformed.
    """
    base = check_base_url(base_url)
    return Link(role, role, base + _ENTRANCES[role] + store.new_staff_token(role))


def write_links(links: list[Link], path: Path) -> Path:
    """Write links as CSV (role, name, url), readable by the owner only.

    Raises:
        FerBenchError: the file cannot be written.
    """
    rows = ((link.role, link.name, link.url) for link in links)
    return write_file(path, csv_text(("role", "name", "url"), *rows).encode())
