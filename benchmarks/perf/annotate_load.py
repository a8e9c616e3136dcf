"""A hundred raters at once, on loopback: response times, and whether every acknowledged answer is in the database once.

The server runs as the real verb in a process of its own. With ``--kill`` it gets SIGKILL in the middle and is started
again; the raters go on, sending again whatever was not acknowledged. One answer in ten is sent from two tabs at the
same time.

    python benchmarks/perf/annotate_load.py --raters 100 --images 10 --kill
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image

CATEGORIES = ("neutral", "happy", "sad", "disgust", "surprise", "contempt", "fear", "anger")
STUDY = """\
name: load
version: "1"
title: Load
images: {{folder: images}}
form: {{categories: [{categories}]}}
consent: Yes.
instructions: Go.
"""
_LAUNCH = "import sys; from fer_bench.cli.annotate import app; app(sys.argv[1:])"


@dataclass
class Outcome:
    """What the raters saw."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    acknowledged: dict[tuple[str, int], tuple[str, int, int]] = field(default_factory=dict)
    finished: int = 0
    broken_connections: int = 0
    unexpected: list[str] = field(default_factory=list)


class Browser:
    """Just enough HTTP/1.1 for one keep-alive connection, so that the client costs little of the two cores."""

    def __init__(self, port: int, outcome: Outcome) -> None:
        self.port, self.outcome, self.cookie = port, outcome, ""
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def request(
        self, kind: str, method: str, path: str, fields: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and note how long the answer took; ConnectionError if the server is gone."""
        start = time.perf_counter()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        assert self.reader is not None
        body = urlencode(fields).encode() if fields is not None else b""
        head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Cookie: {self.cookie}"]
        if fields is not None:
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        try:
            self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            content = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise ConnectionError from None
        self.outcome.latencies.setdefault(kind, []).append(time.perf_counter() - start)
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].partition(";")[0]
        return int(lines[0].split()[1]), headers, content

    def close(self) -> None:
        """Drop the connection; the next request opens another."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def _value(page: bytes, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.decode())
    return found.group(1) if found else ""


async def persist(browser: Browser, *request: object) -> tuple[int, dict[str, str], bytes]:
    """Repeat a request until the server answers."""
    while True:
        try:
            return await browser.request(*request)  # type: ignore[arg-type]
        except OSError:
            browser.outcome.broken_connections += 1
            browser.close()
            await asyncio.sleep(0.2)


async def rater(name: str, link: str, port: int, think: float, outcome: Outcome) -> None:
    """One rater from the link to the last picture."""
    rng = random.Random(name)
    first, second = Browser(port, outcome), Browser(port, outcome)
    await asyncio.sleep(rng.uniform(0, max(think, 0.2)))
    await persist(first, "page", "GET", link)
    second.cookie = first.cookie
    _, _, page = await persist(first, "page", "GET", "/consent")
    await persist(first, "consent", "POST", "/consent", {"csrf": _value(page, "csrf"), "agree": "yes"})
    _, headers, _ = await persist(first, "page", "GET", "/")
    while (path := headers.get("location", "")) != "/done":
        position = int(path.rpartition("/")[2])
        status, _, page = await persist(first, "page", "GET", path)
        if status != 200:
            outcome.unexpected.append(f"{name}: GET {path}: {status}")
            break
        shown = re.search(r"/image/[0-9a-f]{32}", page.decode())
        assert shown
        await persist(first, "image", "GET", shown.group())
        await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
        said = (rng.choice(CATEGORIES), rng.randint(1, 9), rng.randint(1, 9))
        fields = {
            "csrf": _value(page, "csrf"),
            "revision": _value(page, "revision"),
            "response_ms": "1000",
            "action": "save",
        }
        fields |= {"category": said[0], "valence": str(said[1]), "arousal": str(said[2])}
        tabs = [persist(first, "save", "POST", path, fields)]
        if rng.random() < 0.1:
            tabs.append(persist(second, "save", "POST", path, fields))
        replies = await asyncio.gather(*tabs)
        if any(status != 303 for status, _, _ in replies):
            outcome.unexpected.append(f"{name}: POST {path}: {[status for status, _, _ in replies]}")
            break
        outcome.acknowledged[name, position] = said
        headers = replies[0][1]
    else:
        outcome.finished += 1
    first.close()
    second.close()


def make_study(folder: Path, images: int) -> Path:
    """A study of small pictures."""
    (folder / "images").mkdir(parents=True)
    for index in range(images):
        Image.effect_noise((224, 224), 40 + index % 50).save(folder / "images" / f"{index:04d}.jpg", quality=85)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(categories=", ".join(CATEGORIES)))
    return path


def make_links(study: Path, raters: int) -> dict[str, str]:
    """Path of the personal link per rater, made by the real verb."""
    from fer_bench.cli.annotate import app

    out = study.parent / "links.csv"
    with contextlib.redirect_stdout(io.StringIO()):
        app(["links", str(study), "--raters", str(raters), "--out", str(out)], standalone_mode=False)
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    return {name: "/r/" + url.rpartition("/")[2] for _, name, url in rows}


def start_server(study: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server and wait until it answers."""
    server = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, "serve", str(study), "--port", str(port)], stdout=subprocess.DEVNULL
    )
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    server.kill()
    raise RuntimeError("the server did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def drive(study: Path, links: dict[str, str], think: float, kill_after: float | None, limit: float) -> Outcome:
    """Let all raters work; with ``kill_after`` seconds, SIGKILL the server then and start it again."""
    port, outcome = free_port(), Outcome()
    server = start_server(study, port)
    try:
        work = asyncio.gather(*(rater(name, link, port, think, outcome) for name, link in links.items()))
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            server.send_signal(signal.SIGKILL)
            server.wait()
            await asyncio.sleep(0.3)
            server = await asyncio.to_thread(start_server, study, port)
        await asyncio.wait_for(work, limit)
    except TimeoutError:
        outcome.unexpected.append(f"not finished after {limit} s")
    finally:
        server.terminate()
        server.wait(timeout=20)
    return outcome


def check(database: Path, outcome: Outcome) -> dict[str, int]:
    """Compare what was acknowledged with what is stored."""
    db = sqlite3.connect(database)
    rows = db.execute(
        "SELECT r.name, p.position, a.category, a.valence, a.arousal, a.revision FROM answers a"
        " JOIN presentations p USING (rater_id, item_id, presentation) JOIN raters r USING (rater_id)"
    ).fetchall()
    intact = db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    earlier = db.execute("SELECT COUNT(*) FROM earlier_answers").fetchone()[0]
    db.close()
    stored = {(name, position): (category, valence, arousal) for name, position, category, valence, arousal, _ in rows}
    return {
        "acknowledged": len(outcome.acknowledged),
        "stored": len(rows),
        "lost": sum(key not in stored for key in outcome.acknowledged),
        "changed": sum(stored.get(key, said) != said for key, said in outcome.acknowledged.items()),
        "doubled": len(rows) - len(stored) + sum(row[5] != 1 for row in rows) + earlier,
        "damaged": int(not intact),
    }


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def run(raters: int, images: int, think: float, kill: bool, limit: float) -> dict[str, object]:
    """One load test; returns its figures."""
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder) / "study", images)
        links = make_links(study, raters)
        start = time.perf_counter()
        outcome = asyncio.run(drive(study, links, think, images * think / 2 + 1 if kill else None, limit))
        seconds = time.perf_counter() - start
        counts = check(study.with_suffix(".sqlite3"), outcome)
    everything = [value for values in outcome.latencies.values() for value in values]
    times = {
        kind: {
            "n": len(values),
            "p50_ms": round(1000 * percentile(values, 0.5), 1),
            "p99_ms": round(1000 * percentile(values, 0.99), 1),
        }
        for kind, values in [*sorted(outcome.latencies.items()), ("all", everything)]
    }
    figures: dict[str, object] = {
        "raters": raters,
        "finished": outcome.finished,
        "seconds": round(seconds, 1),
        **counts,
    }
    return figures | {
        "requests_per_s": round(len(everything) / seconds, 1),
        "times": times,
        "unexpected": outcome.unexpected[:5],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=100)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument(
        "--think", type=float, default=1.0, help="mean seconds a rater looks at a picture (people take three and more)"
    )
    parser.add_argument(
        "--kill", action="store_true", help="SIGKILL the server in the middle; response times then say nothing"
    )
    parser.add_argument("--limit", type=float, default=120.0, help="give up after so many seconds")
    parser.add_argument("--p99", type=float, default=200.0, help="fail above so many ms; not applied with --kill")
    arguments = parser.parse_args()
    figures = run(arguments.raters, arguments.images, arguments.think, arguments.kill, arguments.limit)
    print(json.dumps(figures, indent=2))
    wrong = (
        figures["lost"]
        or figures["changed"]
        or figures["doubled"]
        or figures["damaged"]
        or figures["unexpected"]
        or figures["finished"] != arguments.raters
    )
    times = figures["times"]
    assert isinstance(times, dict)
    slow = not arguments.kill and times["all"]["p99_ms"] > arguments.p99
    return 1 if wrong or slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
