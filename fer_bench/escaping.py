"""Text from outside (names of files, models and classes, notes, answers) made safe for where it is written: a table, a
terminal, GitHub's Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Spreadsheets take a cell that begins so for a formula, and run it; an apostrophe in front says that it is text. The
# wide forms are those of East Asia.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# What Markdown gives a meaning takes a backslash; an underscore between letters emphasises nothing.
_MARKS = r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)"
# What GitHub looks for in the rendered text, where a backslash has gone, is parted from its neighbours by an element
# without a meaning: mentions and e-mail addresses, issues, mathematics, links without brackets, emoji.
_LIVE = r"[@$]|\#(?=\d)|(?<=\bgh)-(?=\d)|:(?=//)|(?<=\bmailto):|(?<=\bxmpp):|(?<=\bwww)\.|:(?=[\w+-]+:)"
_SPECIAL = re.compile(f"(?P<live>{_LIVE})|{_MARKS}", re.IGNORECASE)
# At the beginning of a paragraph or an item these make a heading, a list or a rule.
_BEGINNING = re.compile(r"(?:[#+=-]+|\d{1,9}[.)])(?=\s|$)")

_STEERING = ("Cc", "Cf", "Co", "Zl", "Zp")
# Joiners, which some scripts are written with, and what parts lines.
_KEPT = "\u200c\u200d\n\t"


def csv_cell(value: object) -> str:
    """A cell as it is written: what a spreadsheet would run as a formula gets an apostrophe in front; numbers stay
    numbers.
    """
    text = "" if value is None else encodable(str(value))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv_value(cell: str) -> str:
    """What :func:`csv_cell` was given; a cell of another hand stays as it is, unless it was escaped in the same way."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(*rows: Iterable[object]) -> str:
    """Lines of a CSV table, their cells escaped; :func:`csv_value` gives their text back."""
    return "".join(",".join(_quoted(csv_cell(value)) for value in row) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    # Not csv.writer: it leaves a carriage return bare, at which readers end the row.
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


def encodable(text: str) -> str:
    r"""Text that can be written as UTF-8: a byte of a file's name that is none, which Python keeps as half a pair,
    becomes ``\udcff``.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    r"""Text of which nothing steers what is around it: such characters are shown as ``\u202e``; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in _STEERING and c not in _KEPT else c for c in encodable(text)
    )


def one_line(text: object) -> str:
    r"""Text for a terminal or a page: blanks are joined; what would steer the one, or turn letters around in the other,
    is shown as ``\u202e``.
    """
    return visible(" ".join(encodable(str(text)).split()))


def markdown(text: object) -> str:
    """Text on one line that GitHub's Markdown shows as it is: in a table, a heading, a paragraph or an item of a
    list.
    """
    line = one_line(text)
    begins = _BEGINNING.match(line)
    # None of the characters before it takes a mark, so that its place stays the same.
    at = begins.end() - 1 if begins else 0
    marked = _SPECIAL.sub(
        lambda found: f"<span>{found.group()}</span>" if found.group("live") else f"\\{found.group()}", line
    )
    return f"{marked[:at]}\\{marked[at:]}" if begins else marked
