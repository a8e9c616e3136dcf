"""Names that are those of a file on every system, and the form in which others are stored."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME_BYTES = 240  # file systems take 255
MAX_PATH_BYTES = 1000  # systems take 4096, or 1024, of which the root folder needs some
MAX_DEPTH = 32

# What Windows reserves and other systems take: published lists have such names, so they are stored percent-encoded.
_ENCODED = re.compile(r'[<>:"|?*]')
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE)
# Control characters, invisible ones and marks that change the direction of reading, lone surrogates, separators of
# lines.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def stored_path(path: str) -> str:
    """A relative path as it is stored: in composed Unicode, ``<>:"|?*`` percent-encoded."""
    return _ENCODED.sub(lambda found: f"%{ord(found[0]):02X}", unicodedata.normalize("NFC", path))


def collision_key(path: str) -> str:
    """Equal for two relative paths that some system takes for one: they differ in case or in how a character is
    composed.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", stored_path(path)).casefold())


def unfit(path: str) -> str | None:
    """Why a relative path cannot be stored on every system, or None if it can.

    Args:
        path: components separated by "/".

    Returns:
        The reason, for a table that a user reads.
    """
    names = path.split("/")
    if len(names) > MAX_DEPTH:
        return f"the path has more than {MAX_DEPTH} components"
    if _DRIVE.match(path):
        return "the path has a drive"
    for name in names:
        if name in ("", ".", ".."):
            return "the path leaves the folder or has an empty component"
        if any(unicodedata.category(character) in _INVISIBLE for character in name):
            return "the path has control or invisible characters"
        if "\\" in name:
            return "the path has a backslash"
        if name != name.strip() or name.endswith("."):
            return "a component begins or ends with a space, or ends with a dot"
        if _DEVICE.fullmatch(name):
            return "a component is the name of a device on Windows"
        if len(stored_path(name).encode()) > MAX_NAME_BYTES:
            return f"a component is longer than {MAX_NAME_BYTES} bytes"
    if len(stored_path(path).encode()) > MAX_PATH_BYTES:
        return f"the path is longer than {MAX_PATH_BYTES} bytes"
    return None
