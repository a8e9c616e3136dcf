"""From the store to the pages: every board, and the index of boards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from fer_bench.atomic import locked, sweep_parts, write_atomically
from fer_bench.errors import HardwareError, RecordError
from fer_bench.leaderboard.markdown import index_markdown, place_between_markers
from fer_bench.leaderboard.pages import INDEX, page_text
from fer_bench.leaderboard.parts import Part, parts
from fer_bench.results.kept import Kept
from fer_bench.results.store import Store


def render_all(store: Store, check: bool = False, *, everything: bool = False, processes: int = 1) -> list[Path]:
    """Update all pages from the records, and remove leftovers of killed processes.

    Args:
        store: records below ``results/``, papers' claims below ``reported/``; the pages are in its root.
        check: write nothing, and render everything.
        everything: also render boards whose records have not changed since they were rendered on this machine.
        processes: at work at the same time, where there is much to render.

    Returns:
        The pages that were, or would have been, written.

    Raises:
        RecordError: there is no record, no claim and no page.
        FerBenchError: a damaged record, a wrong claim, a page with broken markers, a full disk; no page is written
            then, or only whole ones.
    """
    with _held(store.root, check):
        if not check:
            sweep_parts(store.root)
        kept = None if check or everything else Kept.of(store.results)
        pages = _pages(store, parts(store, kept, sweep=not check, processes=processes))
        if not pages:
            problem = (
                f"there is nothing to {'check' if check else 'render'}: no record in {store.results}, no claim in"
                f" {store.root / 'reported'}, no board."
            )
            raise RecordError(
                problem, "`fer-bench run` makes a first record; FER_BENCH_LEADERBOARDS names another folder."
            )
        changed = [path for path, content in pages.items() if page_text(path) != content]
        if not check:
            try:
                for path in changed:
                    write_atomically(path, pages[path].encode())
            except OSError as error:
                raise _unwritable(store.root, error) from None
        return changed


def render(store: Store) -> dict[Path, str]:
    """The up-to-date pages, by path; writes nothing, and trusts nothing that is kept."""
    return _pages(store, parts(store, None, sweep=False))


def _pages(store: Store, made: Mapping[str, Part]) -> dict[Path, str]:
    pages = {store.root / f"{name}.md": part.board for name, part in made.items()}
    if made or (store.root / INDEX).is_file():
        pages[store.root / INDEX] = index_markdown([part.line for part in made.values()])
    placed = {path: place_between_markers(page_text(path), content, str(path)) for path, content in pages.items()}
    return placed | {store.root / file: content for part in made.values() for file, content in part.pictures.items()}


@contextlib.contextmanager
def _held(root: Path, check: bool) -> Iterator[None]:
    """Lock out other renderers; checking needs no write permission."""
    with contextlib.ExitStack() as stack:
        try:
            if not check:
                root.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(root))
        except OSError as error:
            if not check:
                raise _unwritable(root, error) from None
        yield


def _unwritable(root: Path, error: OSError) -> HardwareError:
    problem = f"the leaderboards cannot be written to {root}: {error.strerror or error}."
    return HardwareError(problem, "Free some space or fix the permissions, and run the same command again.")
