"""Download images from a list of links of which many are dead, slow or no images any more, and some may be malicious.

Politely (a pause between requests to one host, few at once, honest user agent), resumably (what is there is verified
and kept, what is gone is remembered), never outside its own folder, and never to an address of this machine's network
that the list does not name. One entry, whatever it holds, ends in the table of what is missing; only the machine (a
full disk) ends the download.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import re
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fer_bench import __version__
from fer_bench.datasets.download.body import BodyDecoder, BodyError, image_defect
from fer_bench.datasets.download.journal import DownloadReport, Outcome, parts_folder, read_journal, sweep, write_report
from fer_bench.datasets.download.links import CONTROL_FOLDER, Wanted, read_url_list, safe_target
from fer_bench.errors import FerBenchError, HardwareError, MissingPackageError, SpecError

if TYPE_CHECKING:
    import httpx

    from fer_bench.datasets.download.guard import Clients

# Answers that may be another one tomorrow, or from another place: not remembered as gone.
_TEMPORARY_STATUS = frozenset({401, 403, 406, 408, 425, 429, 451, 500, 502, 503, 504, 520, 521, 522, 523, 524})
# Faults of the machine, not of an entry.
_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
_DECODERS = min(4, os.cpu_count() or 1)  # images decoded at the same time: bounds the memory
_MAX_LINKS = 200  # of one image; the published list has up to 58
_SHOWN = 200  # characters of a link in a reason
_SAID = 4000  # characters of all reasons of an image


@dataclass(frozen=True)
class DownloadLimits:
    """What a download may cost others and this machine.

    Args:
        concurrency: requests at the same time.
        host_interval: seconds between the starts of two requests to one host.
        idle_timeout: seconds to connect, or between two pieces of an answer.
        total_timeout: seconds for one link, redirects included.
        max_bytes: of one image, compressed or not.
        max_redirects: of one link.
        allow_private: also connect to addresses of this machine and its network; otherwise only those that the list
            itself names plainly, never through a redirect.
    """

    concurrency: int = 8
    host_interval: float = 1.0
    idle_timeout: float = 20.0
    total_timeout: float = 120.0
    max_bytes: int = 50 * 2**20
    max_redirects: int = 5
    allow_private: bool = False

    def __post_init__(self) -> None:
        if (
            min(self.concurrency, self.max_bytes) < 1
            or min(self.idle_timeout, self.total_timeout) <= 0
            or min(self.host_interval, self.max_redirects) < 0
        ):
            problem = f"download limits must be positive: {self}."
            raise SpecError(problem)


class _LinkError(Exception):
    """A link that did not lead to an image."""

    def __init__(self, reason: str, temporary: bool = False) -> None:
        self.temporary = temporary
        super().__init__(reason)


@dataclass
class _Pace:
    """Lets requests to one host start no closer than an interval."""

    interval: float
    next_start: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    async def wait(self, host: str) -> None:
        now = asyncio.get_running_loop().time()
        start = max(now, self.next_start[host])
        self.next_start[host] = start + self.interval
        await asyncio.sleep(start - now)


def download_findingemo(
    urls_json: Path, root: Path, limits: DownloadLimits | None = None, retry_gone: bool = False, progress: bool = True
) -> DownloadReport:
    """Download FindingEmo's images; call it again to resume.

    Args:
        urls_json: ``dataset_urls_exploded.json``.
        root: folder for the images, made where it is missing. A sub-folder ``.fer_bench-download`` holds the journal.
        limits: rates, timeouts and sizes.
        retry_gone: ask again for images that an earlier run found gone.
        progress: show a bar, if the standard error is a terminal.

    Returns:
        Counts by outcome, and the table of what is missing.

    Raises:
        MissingPackageError: httpx is not installed.
        MissingDataError: there is no list.
        BadDataError: the list is damaged.
        HardwareError: files cannot be written.
        FerBenchError: another download into the same folder is running.
    """
    try:
        import httpx  # noqa: F401
    except ImportError as error:
        problem = "downloading needs the package httpx."
        raise MissingPackageError(problem, "pip install 'fer_bench[download]'") from error
    wanted = read_url_list(urls_json)
    try:
        control = root / CONTROL_FOLDER
        control.mkdir(parents=True, exist_ok=True)
        with _only_one(control), _bar(len(wanted), progress) as advance:
            run = _Run(root.resolve(), limits or DownloadLimits(), retry_gone, advance)
            sweep(control)
            run.parts.mkdir()
            try:
                asyncio.run(run.all(wanted))
                return write_report(control, run.outcomes)
            finally:
                run.decoders.shutdown(cancel_futures=True)
                sweep(control)
    except OSError as error:
        problem = f"{root}: cannot write: {error.strerror or error}."
        raise HardwareError(
            problem, "Check free space, limits and permissions, then start again: what is there is kept."
        ) from error


class _Run:
    def __init__(self, root: Path, limits: DownloadLimits, retry_gone: bool, advance: Callable[[], None]) -> None:
        self.root = root
        self.limits = limits
        self.advance = advance
        self.pace = _Pace(limits.host_interval)
        self.journal = root / CONTROL_FOLDER / "gone.jsonl"
        self.parts = parts_folder(root / CONTROL_FOLDER)
        self.numbers = itertools.count()
        self.decoders = ThreadPoolExecutor(_DECODERS)
        self.known_gone = {} if retry_gone else read_journal(self.journal)
        self.outcomes: dict[str, tuple[Outcome, str]] = {}

    async def all(self, wanted: list[Wanted]) -> None:
        from fer_bench.datasets.download.guard import Clients

        queue = iter(wanted)
        limits = self.limits
        own_names = {image.rel_path for image in wanted}
        headers = {
            "User-Agent": f"fer_bench/{__version__} (dataset download for research)",
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        }
        async with Clients(
            limits.concurrency, limits.idle_timeout, headers, _certificates(), limits.allow_private
        ) as clients:

            async def worker() -> None:
                for image in queue:
                    self.outcomes[image.rel_path] = await self.guarded(clients, image, own_names)
                    self.advance()

            workers = [asyncio.ensure_future(worker()) for _ in range(limits.concurrency)]
            try:
                await asyncio.gather(*workers)  # not a TaskGroup: a full disk should arrive as OSError, not in a group
            finally:
                for task in workers:
                    task.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def guarded(self, clients: Clients, image: Wanted, own_names: set[str]) -> tuple[Outcome, str]:
        """The outcome of one image; of all exceptions only the machine's faults leave."""
        try:
            return await self.one(clients, image, own_names)
        except OSError as error:
            if error.errno in _MACHINE:
                raise
            return "refused", f"cannot be stored: {error.strerror or error}"
        except Exception as error:
            return "failed", f"{type(error).__name__} {error}"[:_SHOWN]

    async def one(self, clients: Clients, image: Wanted, own_names: set[str]) -> tuple[Outcome, str]:
        if image.defect:
            return "refused", image.defect
        target = safe_target(self.root, image.rel_path)
        if target is None:
            return "refused", "the path leaves the folder or is not a plain file name"
        if any(folder.exists() and not folder.is_dir() for folder in target.parents) or target.is_dir():
            return "refused", "a file is where a folder should be, or the other way round"
        # Earlier versions, and the authors' own program, store names as the list has them.
        for place in dict.fromkeys((target, self.root / image.rel_path)):
            if await self.defect(place) is None:
                return "present", ""
        await self.sweep_beside(target, image, own_names)
        asked, said = self.known_gone.get(image.rel_path, (set(), ""))
        urls = image.urls[:_MAX_LINKS]
        if urls and asked.issuperset(urls):
            return "gone", said
        reasons, temporary = [], False
        for url in urls:
            try:
                await self.fetch(clients, url, target)
            except _LinkError as error:
                reasons.append(f"{url[:_SHOWN]}: {error}")
                temporary |= error.temporary
            else:
                return "downloaded", ""
        said = "; ".join(reasons)[:_SAID]
        if temporary:
            return "failed", said
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"rel_path": image.rel_path, "urls": urls, "reasons": said}) + "\n")
        return "gone", said

    async def defect(self, path: Path) -> str | None:
        return await asyncio.get_running_loop().run_in_executor(self.decoders, image_defect, path)

    async def sweep_beside(self, target: Path, image: Wanted, own_names: set[str]) -> None:
        """Remove what a killed download of an earlier version left next to an image; a whole image of that name
        stays.
        """
        old = target.with_name(target.name + ".part")
        if f"{image.rel_path}.part" not in own_names and old.is_file() and await self.defect(old) is not None:
            old.unlink()

    async def fetch(self, clients: Clients, link: str, target: Path) -> None:
        """Fetch one link into place, or raise _LinkError and leave nothing."""
        from fer_bench.datasets.download.guard import RefusedLinkError, parse_link

        part = self.parts / f"{next(self.numbers)}.part"
        try:
            url = parse_link(link)
            await self.pace.wait(url.host)
            # Timeouts of the client bound the pause between two bytes, not their number.
            async with asyncio.timeout(self.limits.total_timeout):
                await self.receive(clients, url, part)
            defect = await self.defect(part)
            if defect:
                raise _LinkError(defect)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        except RefusedLinkError as error:
            raise _LinkError(str(error), temporary=not error.permanent) from error
        except BodyError as error:
            raise _LinkError(str(error)) from error
        except TimeoutError as error:
            reason = f"took longer than {self.limits.total_timeout:g} s"
            raise _LinkError(reason, temporary=True) from error
        except (_LinkError, OSError):  # the network's OSErrors have become link errors: these are the disk's
            raise
        except Exception as error:
            raise _unexpected(error) from error
        finally:
            part.unlink(missing_ok=True)

    async def receive(self, clients: Clients, url: httpx.URL, part: Path) -> None:
        from fer_bench.datasets.download.guard import check_hop

        request = clients.of(url).build_request("GET", url)
        for _ in range(self.limits.max_redirects + 1):
            check_hop(request.url, url, self.limits.allow_private)
            client = clients.of(request.url)
            try:
                answer = await client.send(request, stream=True)
            except OSError as error:
                raise _unexpected(error) from error
            client.cookies.clear()
            try:
                if answer.next_request is None:
                    return await self.store(answer, part)
                request = answer.next_request
            finally:
                await answer.aclose()
            await self.pace.wait(request.url.host)
        reason = f"more than {self.limits.max_redirects} redirects"
        raise _LinkError(reason)

    async def store(self, answer: httpx.Response, part: Path) -> None:
        if answer.status_code != 200:
            reason = f"HTTP {answer.status_code}"
            raise _LinkError(reason, temporary=answer.status_code in _TEMPORARY_STATUS)
        too_large = f"larger than {self.limits.max_bytes} bytes"
        announced = answer.headers.get("content-length", "")
        if re.fullmatch("[0-9]{1,18}", announced) and int(announced) > self.limits.max_bytes:
            raise _LinkError(too_large)
        decoder = BodyDecoder(answer.headers.get("content-encoding", ""))
        arrived = decoded = 0
        with part.open("wb") as file:
            async with aclosing(_arriving(answer)) as chunks:
                async for chunk in chunks:
                    arrived += len(chunk)
                    for piece in decoder.pieces(chunk):
                        decoded += len(piece)
                        if max(arrived, decoded) > self.limits.max_bytes:
                            raise _LinkError(too_large)
                        file.write(piece)


async def _arriving(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except OSError as error:
        raise _unexpected(error) from error


def _unexpected(error: Exception) -> _LinkError:
    return _LinkError(f"{type(error).__name__} {error}".strip()[:_SHOWN], temporary=True)


@cache
def _certificates() -> ssl.SSLContext:
    """Trusted certificates: slow to read, so only once."""
    import httpx

    return httpx.create_ssl_context()


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
