"""The folder of a site: what is written, and what an earlier site has left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_bench.errors import HardwareError, SpecError
from fer_bench.packages import require
from fer_bench.results.store import Store
from fer_bench.site.files import Content, read_site

MANIFEST = "files.txt"


@dataclass(frozen=True)
class Built:
    """A site that was built.

    Args:
        folder: where it is.
        files: how many there are.
        size: of all of them, in bytes.
        changed: how many were written.
    """

    folder: Path
    files: int
    size: int
    changed: int


def build_site(store: Store, out: Path, docs: str = "") -> Built:
    """Write the site; files of an earlier one that are no longer part of it are removed.

    Args:
        store: records, predictions, claims and notes.
        out: folder; empty, new, or of an earlier site.
        docs: the folder of the documentation, see :func:`fer_bench.site.pages.page`.

    Raises:
        SpecError: the folder has files in it, and is no site.
        FerBenchError: a damaged record, wrong claims, a full disk, a missing package.
    """
    require(["pyarrow"], "study")
    former = _former(out)
    site = read_site(store, docs)
    written: dict[str, int] = {}
    changed = 0
    try:
        for address, content in site.files():
            if address not in written:
                changed += _put(out / address, content)
                written[address] = (out / address).stat().st_size
        listed = "".join(f"{address}\n" for address in sorted(written)).encode()
        _put(out / MANIFEST, listed)
    except OSError as error:
        problem = f"the site cannot be written to {out}: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions, or give another folder with --out.") from None
    for address in former - written.keys():
        _remove(out, address)
    return Built(out, len(written) + 1, sum(written.values()) + len(listed), changed)


def _former(out: Path) -> set[str]:
    """The files of an earlier site in a folder."""
    manifest = out / MANIFEST
    if manifest.is_file():
        return set(manifest.read_text(encoding="utf-8").splitlines())
    if out.exists() and not out.is_dir():
        problem = f"{out} is a file, and a site is a folder."
        raise SpecError(problem, "Give a new folder with --out.")
    if out.exists() and any(out.iterdir()):
        problem = f"{out} is not empty, and holds no site."
        raise SpecError(problem, "Give a new folder with --out, or empty this one.")
    return set()


def _put(path: Path, content: Content) -> bool:
    """Write or copy a file; returns whether it was another before."""
    found = content if isinstance(content, bytes) else content.read_bytes()
    if path.is_file() and path.read_bytes() == found:
        return False
    # The site can be built again: none of its thousand files is worth a wait for the disk.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(found)
    return True


def _remove(out: Path, address: str) -> None:
    path = out / address
    # A list that somebody has changed leads nowhere else.
    if path.resolve().is_relative_to(out.resolve()):
        path.unlink(missing_ok=True)
