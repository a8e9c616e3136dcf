"""What a download would ask for, of whom, and for how long: without asking anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fer_bench.datasets.download.journal import read_journal
from fer_bench.datasets.download.limits import DownloadLimits
from fer_bench.datasets.download.links import CONTROL_FOLDER, Wanted, safe_target
from fer_bench.datasets.download.wayback import archived

_SECONDS = 1.0  # of an image that is there, on an ordinary line
_BYTES = 250_000  # of an image: those of the published list are 800 to 3,200 pixels wide


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would do.

    Args:
        images: of the list or the manifest.
        there: files of their names; they are looked into only by the download itself.
        gone: without a link that could be asked, or found gone by an earlier run.
        refused: entries that cannot be stored.
        asked: images that would be asked for.
        links: all links of those.
        hosts: by the number of images whose first link names them.
        archive: links that the Wayback Machine would be asked for at most.
        seconds: at least, if every first link leads to an image; at most, if every link runs into its timeout.
    """

    images: int
    there: int
    gone: int
    refused: int
    asked: int
    links: int
    hosts: Counter[str]
    archive: int
    seconds: tuple[float, float]

    def lines(self) -> Iterable[str]:
        """For a terminal."""
        yield f"{'images':16s} {self.images:,}"
        yield f"{'already there':16s} {self.there:,}"
        yield f"{'no link left':16s} {self.gone:,}"
        yield f"{'refused':16s} {self.refused:,}"
        yield f"{'to be asked for':16s} {self.asked:,}, about {self.asked * _BYTES / 1e9:.1f} GB if all of them come"
        yield f"{'links':16s} {self.links:,} on {len(self.hosts):,} hosts"
        for host, count in self.hosts.most_common(3):
            yield f"{'':16s} {host}: {count:,}"
        if self.archive:
            yield f"{'Wayback Machine':16s} up to {self.archive:,} links"
        least, most = (seconds / 3600 for seconds in self.seconds)
        yield (
            f"{'hours':16s} {least:.1f} if every first link leads to an image, {most:.1f} if every link is slow to"
            " fail; many are dead"
        )


def plan_download(
    wanted: list[Wanted],
    root: Path,
    limits: DownloadLimits | None = None,
    retry_gone: bool = False,
    archive: str | None = None,
) -> DownloadPlan:
    """Plan a download; nothing is asked, and nothing written.

    Args:
        wanted: see :func:`~fer_bench.datasets.download.images.wanted_images`.
        root: folder for the images; it may not be there yet.
        limits: as of the download.
        retry_gone: likewise.
        archive: likewise.
    """
    limits = limits or DownloadLimits()
    known = {} if retry_gone else read_journal(root / CONTROL_FOLDER / "gone.jsonl")
    inside = root.resolve()
    there = gone = refused = links = in_archive = asked = 0
    first, every = Counter[str](), Counter[str]()
    for image in wanted:
        target = None if image.defect else safe_target(inside, image.rel_path)
        if target is None:
            refused += 1
            continue
        if target.is_file() or (root / image.rel_path).is_file():
            there += 1
            continue
        before = known.get(image.rel_path, (set(), ""))[0]
        hosts = [host for url in image.urls if url not in before and (host := _host(url))]
        kept = [link for url in image.urls if archive and (link := archived(url, archive)) and link not in before]
        if not hosts and not kept:
            gone += 1
            continue
        asked += 1
        links += len(hosts)
        in_archive += len(kept)
        first.update(hosts[:1])
        every.update(hosts)
    # A host that does not answer is given up, so that it costs a few timeouts and not one for each of its links.
    tries = sum(min(count, limits.host_failures) for count in every.values())
    least = max(asked * _SECONDS / limits.concurrency, max(first.values(), default=0) * limits.host_interval)
    most = max(tries * limits.idle_timeout / limits.concurrency, max(every.values(), default=0) * limits.host_interval)
    return DownloadPlan(
        images=len(wanted),
        there=there,
        gone=gone,
        refused=refused,
        asked=asked,
        links=links,
        hosts=Counter({host: first[host] for host in every}),
        archive=in_archive,
        seconds=(least, max(least, most) + in_archive * limits.host_interval),
    )


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""
