"""What systems and file managers leave in folders, which looks like data by its suffix. Needs no package."""

from __future__ import annotations

from pathlib import PurePath

# Besides everything whose name begins with a dot: ._face.jpg (macOS, on foreign disks and in archives), .DS_Store,
# .ipynb_checkpoints.
_NAMES = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}


def is_clutter(path: PurePath) -> bool:
    """Whether a file or folder is not data: ``._*`` and other hidden names, ``__MACOSX``, ``.DS_Store``, ``Thumbs.db``
    and their like.

    Args:
        path: relative to the folder that is read, which may itself be inside a hidden one.
    """
    return any(is_clutter_name(part) for part in path.parts)


def is_clutter_name(name: str) -> bool:
    """As :func:`is_clutter`, of a single name: for folders of a million files."""
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in _NAMES
