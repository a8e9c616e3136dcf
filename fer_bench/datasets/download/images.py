"""Download images from a list of links of which many are dead, slow or no images any more, and some may be malicious.

Politely (a pause between requests to one host, one at a time, honest user agent), resumably (what is there is verified
and kept, what is gone is remembered), never outside its own folder, and never to an address of this machine's network
that the list does not name. One entry, whatever it holds, ends in the table of what is missing; only the machine (a
full disk) ends the download.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench import __version__
from fer_bench.datasets.download.journal import (
    DownloadReport,
    Outcome,
    note_gone,
    parts_folder,
    read_journal,
    sweep,
    write_report,
)
from fer_bench.datasets.download.limits import DownloadLimits
from fer_bench.datasets.download.links import CONTROL_FOLDER, Wanted, read_url_list, safe_target
from fer_bench.datasets.download.request import Fetcher, LinkError, certificates
from fer_bench.datasets.download.schedule import HostQueues
from fer_bench.datasets.download.wayback import archived
from fer_bench.datasets.findingemo.annotations import image_id
from fer_bench.datasets.findingemo.manifest import MANIFEST, Kept, content_of, read_manifest
from fer_bench.errors import FerBenchError, HardwareError, MissingPackageError

if TYPE_CHECKING:
    import httpx

# Faults of the machine, not of an entry.
_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
_DECODERS = min(4, os.cpu_count() or 1)  # images decoded at the same time: bounds the memory
_MAX_LINKS = 200  # of one image; the published list has up to 58
_RETRIES = 2  # of a link whose host asks for a pause
_SHOWN = 200  # characters of a link in a reason
_SAID = 4000  # characters of all reasons of an image


def download_findingemo(
    urls_json: Path | None,
    root: Path,
    limits: DownloadLimits | None = None,
    retry_gone: bool = False,
    progress: bool = True,
    archive: str | None = None,
    manifest: Path | None = None,
) -> DownloadReport:
    """Download FindingEmo's images; call it again to resume.

    Args:
        urls_json: ``dataset_urls_exploded.json``; None: only the links of the manifest.
        root: folder for the images, made where it is missing. A sub-folder ``.fer_bench-download`` holds the journal,
            and ``manifest.csv`` says afterwards what is there.
        limits: rates, timeouts and sizes.
        retry_gone: ask again for images that an earlier run found gone.
        progress: show a bar, if the standard error is a terminal.
        archive: also ask this Wayback Machine for links that do not lead to an image; see
            :data:`~fer_bench.datasets.download.wayback.WAYBACK`.
        manifest: download just the images of this manifest, first from where it has them.

    Returns:
        Counts by outcome, the table of what is missing, and the manifest of what is there.

    Raises:
        MissingPackageError: httpx is not installed.
        MissingDataError: there is no list, or no such manifest.
        BadDataError: the list or the manifest is damaged.
        HardwareError: files cannot be written.
        FerBenchError: another download into the same folder is running.
    """
    try:
        import httpx  # noqa: F401
    except ImportError as error:
        problem = "downloading needs the package httpx."
        raise MissingPackageError(problem, "pip install 'fer_bench[download]'") from error
    same_as = read_manifest(manifest) if manifest else {}
    wanted = wanted_images(urls_json, same_as)
    try:
        control = root / CONTROL_FOLDER
        control.mkdir(parents=True, exist_ok=True)
        with _only_one(control), _bar(len(wanted), progress) as advance:
            run = _Run(root.resolve(), limits or DownloadLimits(), retry_gone, archive, advance)
            sweep(control)
            run.parts.mkdir()
            try:
                asyncio.run(run.all(wanted))
                return write_report(root, run.outcomes, run.kept, len(run.asked), same_as)
            finally:
                run.decoders.shutdown(cancel_futures=True)
                sweep(control)
    except OSError as error:
        problem = f"{root}: cannot write: {error.strerror or error}."
        raise HardwareError(
            problem, "Check free space, limits and permissions, then start again: what is there is kept."
        ) from error


def wanted_images(urls_json: Path | None, same_as: dict[str, Kept]) -> list[Wanted]:
    """The images to be had, with their links.

    Args:
        urls_json: the list; None: only the manifest.
        same_as: a manifest by image id: just these images, its links first; empty: all of the list.

    Raises:
        MissingDataError: there is no such list.
        BadDataError: it is damaged.
    """
    listed = read_url_list(urls_json) if urls_json else []
    if not same_as:
        return listed
    by_path = {image.rel_path.lstrip("/"): image for image in listed}
    wanted = []
    for kept in same_as.values():
        image = by_path.get(kept.rel_path) or Wanted(kept.rel_path, ())
        urls = (kept.url, *image.urls) if kept.url else image.urls
        wanted.append(replace(image, urls=tuple(dict.fromkeys(urls))))
    return wanted


@dataclass
class _Attempt:
    """One image on its way through its links."""

    image: Wanted
    target: Path
    links: deque[str]
    asked: set[str]
    reasons: list[str]
    in_archive: bool = False
    temporary: bool = False
    forbidden: bool = False
    link: str = ""
    listed: httpx.URL | None = None
    url: httpx.URL | None = None
    hops: int = 0
    retries: int = 0

    def note(self, error: LinkError) -> None:
        self.reasons.append(f"{self.link[:_SHOWN]}: {error}")
        self.temporary |= error.temporary
        self.forbidden |= error.forbidden


class _Run:
    def __init__(
        self, root: Path, limits: DownloadLimits, retry_gone: bool, archive: str | None, advance: Callable[[], None]
    ) -> None:
        self.root, self.limits, self.archive, self.advance = root, limits, archive, advance
        self.journal = root / CONTROL_FOLDER / "gone.jsonl"
        self.parts = parts_folder(root / CONTROL_FOLDER)
        self.decoders = ThreadPoolExecutor(_DECODERS)
        self.known_gone = {} if retry_gone else read_journal(self.journal)
        self.outcomes: dict[str, tuple[Outcome, str]] = {}
        self.before = _earlier(root / MANIFEST)
        self.kept: list[Kept] = []
        self.asked: set[str] = set()

    async def all(self, wanted: list[Wanted]) -> None:
        from fer_bench.datasets.download.guard import Clients

        limits = self.limits
        own_names = {image.rel_path for image in wanted}
        headers = {
            "User-Agent": f"fer_bench/{__version__} (dataset download for research)",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        }
        async with Clients(
            limits.concurrency, limits.idle_timeout, headers, certificates(), limits.allow_private
        ) as clients:
            self.fetcher = Fetcher(clients, limits, self.parts, self.decoders)
            self.queues: HostQueues[_Attempt] = HostQueues(limits.host_interval, limits.host_failures)
            images = iter(wanted)

            async def prepare() -> None:
                for image in images:
                    try:
                        await self.prepare(image, own_names)
                    except Exception as error:
                        self.fault(image, error)

            async def work() -> None:
                while (taken := await self.queues.take()) is not None:
                    host, attempt = taken
                    await self.step(host, attempt)

            # What is there is looked through first: it costs nobody anything.
            for what in (prepare, work):
                tasks = [asyncio.ensure_future(what()) for _ in range(limits.concurrency)]
                try:
                    # Not a TaskGroup: a full disk should arrive as OSError, not in a group.
                    await asyncio.gather(*tasks)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    def end(self, image: Wanted, outcome: Outcome, said: str = "") -> None:
        self.outcomes[image.rel_path] = (outcome, said)
        self.advance()

    def fault(self, image: Wanted, error: Exception) -> None:
        """End an image on an exception that no link explains; only the machine's faults leave."""
        if not isinstance(error, OSError):
            return self.end(image, "failed", f"{type(error).__name__} {error}"[:_SHOWN])
        if error.errno in _MACHINE:
            raise error
        return self.end(image, "refused", f"cannot be stored: {error.strerror or error}")

    async def keep(self, image: Wanted, place: Path, outcome: Outcome, url: str) -> None:
        size, sha256 = await asyncio.get_running_loop().run_in_executor(self.decoders, content_of, place)
        self.kept.append(Kept(image.rel_path, size, sha256, url))
        self.end(image, outcome)

    async def prepare(self, image: Wanted, own_names: set[str]) -> None:
        """End what needs no request; queue the others."""
        if image.defect:
            return self.end(image, "refused", image.defect)
        target = safe_target(self.root, image.rel_path)
        if target is None:
            return self.end(image, "refused", "the path leaves the folder or is not a plain file name")
        if any(folder.exists() and not folder.is_dir() for folder in target.parents) or target.is_dir():
            return self.end(image, "refused", "a file is where a folder should be, or the other way round")
        # Earlier versions, and the authors' own program, store names as the list has them.
        for place in dict.fromkeys((target, self.root / image.rel_path)):
            if await self.fetcher.defect(place) is None:
                known = self.before.get(image_id(image.rel_path))
                return await self.keep(image, place, "present", known.url if known else "")
        await self.sweep_beside(target, image, own_names)
        asked, said = self.known_gone.get(image.rel_path, (set(), ""))
        links = deque(url for url in image.urls[:_MAX_LINKS] if url not in asked)
        self.next_link(_Attempt(image, target, links, set(asked), [said] if said else []))
        return None

    async def sweep_beside(self, target: Path, image: Wanted, own_names: set[str]) -> None:
        """Remove what a killed download of an earlier version left next to an image; a whole image of that name
        stays.
        """
        old = target.with_name(target.name + ".part")
        if f"{image.rel_path}.part" not in own_names and old.is_file() and await self.fetcher.defect(old) is not None:
            old.unlink()

    def next_link(self, attempt: _Attempt) -> None:
        """Queue the next link of an image, or end it."""
        from fer_bench.datasets.download.guard import RefusedLinkError, check_hop, parse_link

        while True:
            if not attempt.links and self.archive and not attempt.in_archive:
                attempt.in_archive = True
                kept = (archived(url, self.archive) for url in attempt.image.urls[:_MAX_LINKS])
                attempt.links.extend(url for url in kept if url and url not in attempt.asked)
            if not attempt.links:
                return self.without_image(attempt)
            attempt.link = attempt.links.popleft()
            attempt.asked.add(attempt.link)
            attempt.hops = attempt.retries = 0
            try:
                attempt.url = attempt.listed = parse_link(attempt.link)
                check_hop(attempt.url, attempt.listed, self.limits.allow_private)
            except RefusedLinkError as error:
                attempt.note(LinkError(str(error), temporary=not error.permanent))
            else:
                return self.queues.put(_host(attempt.url), attempt)

    def without_image(self, attempt: _Attempt) -> None:
        said = "; ".join(attempt.reasons)[:_SAID]
        if attempt.temporary:
            return self.end(attempt.image, "failed", said)
        if attempt.forbidden:
            return self.end(attempt.image, "forbidden", said)
        if attempt.asked - self.known_gone.get(attempt.image.rel_path, (set(), ""))[0]:
            note_gone(self.journal, attempt.image.rel_path, sorted(attempt.asked), said)
        return self.end(attempt.image, "gone", said)

    async def step(self, host: str, attempt: _Attempt) -> None:
        """One request for an image, and what follows from it."""
        answered, pause = True, 0.0
        try:
            await self.ask(host, attempt)
        except LinkError as error:
            answered, pause = not error.silent, error.pause
            if pause and attempt.retries < _RETRIES:
                attempt.retries += 1
                self.queues.put(host, attempt, first=True)
            else:
                attempt.note(error)
                self.next_link(attempt)
        except Exception as error:
            self.fault(attempt.image, error)
        finally:
            self.queues.release(host, answered=answered, pause=pause)

    async def ask(self, host: str, attempt: _Attempt) -> None:
        from fer_bench.datasets.download.guard import RefusedLinkError, check_hop

        assert attempt.url is not None
        assert attempt.listed is not None
        if self.queues.given_up(host):
            reason = f"{host} left requests unanswered ({self.limits.host_failures} in a row), and is asked no more"
            raise LinkError(reason, silent=True)
        self.asked.add(attempt.image.rel_path)
        elsewhere = await self.fetcher.ask(attempt.url, attempt.target)
        if elsewhere is None:
            outcome: Outcome = "archived" if attempt.in_archive else "downloaded"
            return await self.keep(attempt.image, attempt.target, outcome, attempt.link)
        attempt.hops += 1
        if attempt.hops > self.limits.max_redirects:
            reason = f"more than {self.limits.max_redirects} redirects"
            raise LinkError(reason)
        try:
            check_hop(elsewhere, attempt.listed, self.limits.allow_private)
        except RefusedLinkError as error:
            raise LinkError(str(error), temporary=not error.permanent) from error
        attempt.url = elsewhere
        return self.queues.put(_host(elsewhere), attempt, first=True)


def _earlier(manifest: Path) -> dict[str, Kept]:
    """The manifest of an earlier download, of which only the addresses are needed."""
    try:
        return read_manifest(manifest)
    except FerBenchError:
        return {}


def _host(url: httpx.URL) -> str:
    return url.host.rstrip(".").lower() + (f":{url.port}" if url.port else "")


@contextmanager
def _only_one(control: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(control / "running.lock", timeout=0):
            yield
    except Timeout as error:
        problem = f"another download into {control.parent} is running."
        raise FerBenchError(problem, "Wait for it, or choose another folder.") from error


@contextmanager
def _bar(total: int, wanted: bool) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("images", total=total)
        yield lambda: bar.advance(task)
