"""Download images from a list of links of which many are dead, slow or no images any more.

Politely (a pause between requests to one host, few at once, honest user agent), resumably (what is there is verified and
kept, what is gone is remembered), and never outside its own folder.
"""

from __future__ import annotations

import asyncio
import csv
import json
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fer_bench import __version__
from fer_bench.data.download_list import CONTROL_FOLDER, Wanted, read_url_list, safe_target
from fer_bench.errors import FerBenchError, HardwareError, MissingPackageError, SpecError

if TYPE_CHECKING:
    import httpx

Outcome = Literal["present", "downloaded", "gone", "failed", "refused"]

_MAX_PIXELS = 178_000_000  # Pillow's limit, above which an image is taken for a decompression bomb
# Answers that may be another one tomorrow: not remembered as gone.
_TEMPORARY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True)
class DownloadLimits:
    """What a download may cost others and this machine.

    Args:
        concurrency: requests at the same time.
        host_interval: seconds between the starts of two requests to one host.
        idle_timeout: seconds to connect, or between two pieces of an answer.
        total_timeout: seconds for one link, redirects included.
        max_bytes: of one image.
        max_redirects: of one link.
    """

    concurrency: int = 8
    host_interval: float = 1.0
    idle_timeout: float = 20.0
    total_timeout: float = 120.0
    max_bytes: int = 50 * 2**20
    max_redirects: int = 5

    def __post_init__(self) -> None:
        if min(self.concurrency, self.max_bytes) < 1 or min(self.idle_timeout, self.total_timeout) <= 0 or min(self.host_interval, self.max_redirects) < 0:
            problem = f"download limits must be positive: {self}."
            raise SpecError(problem)


@dataclass(frozen=True)
class DownloadReport:
    """What became of every image of the list.

    Args:
        counts: images by outcome. ``present``: was there and is an image; ``downloaded``; ``gone``: no link leads to an image
            any more, now or in an earlier run; ``failed``: none did, but one may later (a timeout, an overloaded server);
            ``refused``: its path would have left the folder.
        gone_csv: table ``rel_path,outcome,reasons`` of the images that are gone, failed or refused.
    """

    counts: dict[Outcome, int]
    gone_csv: Path


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


def download_findingemo(urls_json: Path, root: Path, limits: DownloadLimits | None = None, retry_gone: bool = False, progress: bool = True) -> DownloadReport:
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
            asyncio.run(run.all(wanted))
        return _write_report(control, run.outcomes)
    except OSError as error:
        problem = f"{root}: cannot write: {error.strerror or error}."
        raise HardwareError(problem, "Check free space and permissions, then start again: what is there is kept.") from error


class _Run:
    def __init__(self, root: Path, limits: DownloadLimits, retry_gone: bool, advance: Callable[[], None]) -> None:
        self.root = root
        self.limits = limits
        self.advance = advance
        self.pace = _Pace(limits.host_interval)
        self.journal = root / CONTROL_FOLDER / "gone.jsonl"
        self.known_gone = {} if retry_gone else _read_journal(self.journal)
        self.outcomes: dict[str, tuple[Outcome, str]] = {}

    async def all(self, wanted: list[Wanted]) -> None:
        import httpx

        queue = iter(wanted)
        limits = self.limits
        async with httpx.AsyncClient(
            verify=_certificates(),
            timeout=limits.idle_timeout,
            follow_redirects=True,
            max_redirects=limits.max_redirects,
            headers={"User-Agent": f"fer_bench/{__version__} (dataset download for research)", "Accept": "image/*", "Accept-Encoding": "identity"},
            limits=httpx.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency),
        ) as client:

            async def worker() -> None:
                for image in queue:
                    self.outcomes[image.rel_path] = await self.one(client, image)
                    self.advance()

            workers = [asyncio.ensure_future(worker()) for _ in range(limits.concurrency)]
            try:
                await asyncio.gather(*workers)  # not a TaskGroup: a full disk should arrive as OSError, not in a group
            finally:
                for task in workers:
                    task.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def one(self, client: httpx.AsyncClient, image: Wanted) -> tuple[Outcome, str]:
        target = safe_target(self.root, image.rel_path)
        if target is None:
            return "refused", "the path leaves the folder or is no plain file name"
        if await asyncio.to_thread(_defect, target) is None:
            return "present", ""
        asked, said = self.known_gone.get(image.rel_path, (set(), ""))
        if image.urls and asked.issuperset(image.urls):
            return "gone", said
        reasons, temporary = [], False
        for url in image.urls:
            try:
                await self.fetch(client, url, target)
            except _LinkError as error:
                reasons.append(f"{url}: {error}")
                temporary |= error.temporary
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                return "refused", "a file is where a folder should be, or the other way round"
            else:
                return "downloaded", ""
        said = "; ".join(reasons)
        if temporary:
            return "failed", said
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"rel_path": image.rel_path, "urls": image.urls, "reasons": said}) + "\n")
        return "gone", said

    async def fetch(self, client: httpx.AsyncClient, url: str, target: Path) -> None:
        """Fetch one link into place, or raise _LinkError and leave nothing."""
        import httpx

        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            reason = "not a URL"
            raise _LinkError(reason) from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            reason = "not an http(s) URL"
            raise _LinkError(reason)
        await self.pace.wait(parsed.host)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        try:
            # httpx' own timeouts bound the pause between two bytes, not their number.
            async with asyncio.timeout(self.limits.total_timeout):
                await self.receive(client, parsed, part)
            defect = await asyncio.to_thread(_defect, part)
            if defect:
                raise _LinkError(defect)
            part.replace(target)
        except TimeoutError as error:
            reason = f"took longer than {self.limits.total_timeout:g} s"
            raise _LinkError(reason, temporary=True) from error
        except httpx.TooManyRedirects as error:
            reason = f"more than {self.limits.max_redirects} redirects"
            raise _LinkError(reason) from error
        except httpx.UnsupportedProtocol as error:
            reason = "redirects to something else than http(s)"
            raise _LinkError(reason) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise _LinkError(reason, temporary=True) from error
        finally:
            part.unlink(missing_ok=True)

    async def receive(self, client: httpx.AsyncClient, url: httpx.URL, part: Path) -> None:
        async with client.stream("GET", url) as answer:
            if answer.status_code != 200:
                reason = f"HTTP {answer.status_code}"
                raise _LinkError(reason, temporary=answer.status_code in _TEMPORARY_STATUS)
            too_large = f"larger than {self.limits.max_bytes} bytes"
            announced = answer.headers.get("content-length", "")
            if announced.isdigit() and int(announced) > self.limits.max_bytes:
                raise _LinkError(too_large)
            received = 0
            with part.open("wb") as file:
                async for chunk in answer.aiter_bytes():
                    received += len(chunk)
                    if received > self.limits.max_bytes:
                        raise _LinkError(too_large)
                    file.write(chunk)


@cache
def _certificates() -> ssl.SSLContext:
    """Trusted certificates: slow to read, so only once."""
    import httpx

    return httpx.create_ssl_context()


def _defect(path: Path) -> str | None:
    """Why a file is not an image that decodes completely, or None if it is."""
    from PIL import Image

    if not path.is_file():
        return "no file"
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                return "too many pixels"
            image.draft("L", (1, 1))  # JPEG: reads all of the file, but builds an eighth of the picture
            image.load()
    except Exception as error:
        # Pillow's plugins raise nearly anything on damaged files: OSError, SyntaxError, struct.error, ...
        return f"not an image that decodes ({type(error).__name__})"
    return None


def _read_journal(path: Path) -> dict[str, tuple[set[str], str]]:
    """Images found gone: the links that were asked, and what they said."""
    gone = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                gone[str(entry["rel_path"])] = (set(map(str, entry["urls"])), str(entry["reasons"]))
            except (ValueError, KeyError, TypeError):
                continue  # a line that a crash cut off: asking again is harmless
    return gone


def _write_report(control: Path, outcomes: dict[str, tuple[Outcome, str]]) -> DownloadReport:
    counts: dict[Outcome, int] = {"present": 0, "downloaded": 0, "gone": 0, "failed": 0, "refused": 0}
    counts |= Counter(outcome for outcome, _ in outcomes.values())
    table = control / "gone.csv"
    part = table.with_name(table.name + ".part")
    with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rel_path", "outcome", "reasons"])
        writer.writerows([rel_path, *said] for rel_path, said in sorted(outcomes.items()) if said[0] in ("gone", "failed", "refused"))
    part.replace(table)
    return DownloadReport(counts, table)


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
