"""The real server against people who mean it no good: nothing is a fault of ours, nothing is held for ever, and the log
stays small."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
import uvicorn
from starlette.testclient import TestClient

from fer_bench.annotate import connections, http
from fer_bench.annotate.connections import PatientProtocol
from fer_bench.annotate.images import list_images
from fer_bench.annotate.logs import BoundedLog, bound_logs
from fer_bench.annotate.server import create_app, serve
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study
from fer_bench.errors import BadDataError, HardwareError, MissingDataError, SpecError
from fer_bench.yaml_lines import read_yaml

from .fakes import write_study


class Served:
    """A server in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        study = load_study(write_study(folder, per_class=1, repeats=0, prescreen={"per_class": 1}))
        self.store = AnswerStore(study, folder / "a.sqlite3")
        self.log: list[str] = []
        handler = logging.StreamHandler(self)  # type: ignore[arg-type]
        config = uvicorn.Config(
            create_app(study, self.store),
            port=0,
            http=PatientProtocol,
            ws="none",
            access_log=False,
            log_level="warning",
        )
        bound_logs()
        self.loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
        for logger in self.loggers:
            logger.addHandler(handler)
        self.handler = handler
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def write(self, text: str) -> None:
        self.log.append(text)

    def flush(self) -> None:
        pass

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        for logger in self.loggers:
            logger.removeHandler(self.handler)
            logger.filters.clear()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, request: bytes) -> int:
        """Send raw bytes; the status of the answer, 0 where the connection was closed without one."""
        with self.connect() as line:
            line.sendall(request)
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(OSError):
                while chunk := line.recv(65536):
                    answer += chunk
        return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.6)
    monkeypatch.setattr(http, "BODY_SECONDS", 0.6)
    made = Served(tmp_path)
    yield made
    made.stop()


def ended(line: socket.socket) -> bytes:
    """What comes until the server closes the connection; fails after ten seconds."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while chunk := line.recv(65536):
            found += chunk
    return found


POST = b"POST /consent HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def test_what_is_never_finished_is_not_held_for_ever(served: Served) -> None:
    ((_, token),) = served.store.add_raters(["r001"])
    cookie = f"Cookie: annotate-faces-rater={token}\r\n".encode()
    starts = {
        b"": b"",
        b"GET /heal": b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: ": b"",
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he": b" 200 ",
        POST + cookie + b"Content-Length: 1000\r\n\r\ncsrf=": b" 408 ",
        POST + cookie + b"Transfer-Encoding: chunked\r\n\r\n5\r\ncsrf": b" 408 ",
    }
    lines = []
    for start in starts:
        line = served.connect()
        line.sendall(start)
        lines.append(line)
    began = time.monotonic()
    for line, expected in zip(lines, starts.values(), strict=True):
        assert expected in ended(line)
        line.close()
    assert time.monotonic() - began < 6
    assert served.log == []


def test_bytes_that_drip_do_not_buy_time(served: Served) -> None:
    with served.connect() as line:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            for byte in b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 500:
                line.sendall(bytes([byte]))
                time.sleep(0.05)
        assert time.monotonic() - began < 5


def test_requests_broken_off_leave_nothing_in_the_log(served: Served) -> None:
    ((_, token),) = served.store.add_raters(["r001"])
    for _ in range(60):
        with served.connect() as line:
            line.sendall(POST + f"Cookie: annotate-faces-rater={token}\r\nContent-Length: 900\r\n\r\ncsrf=".encode())
    for _ in range(200):
        assert served.ask(b"\0\1\2 nonsense\r\n\r\n") == 400
        assert served.ask(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n") in (
            200,
            400,
        )
    assert len("".join(served.log)) < 5_000
    assert "Traceback" not in "".join(served.log)


def test_who_idles_longest_makes_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 30)
    idle = [served.connect() for _ in range(30)]
    assert served.ask(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 200
    time.sleep(0.2)
    assert len(served.server.server_state.connections) <= 8
    assert ended(idle[0]) == b""
    for line in idle:
        line.close()


def test_answers_that_nobody_takes_are_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.3)
    line = served.connect()
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.settimeout(1)
        line.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)
    deadline = time.monotonic() + 8
    while served.server.server_state.connections and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not served.server.server_state.connections
    line.close()


PATHS = [
    "/task/" + "9" * 4301,
    "/task/" + "0" * 9000,
    "/prescreen/" + "9" * 4301,
    "/prescreen/" + "1" * 5000 + "/batch",
    "/task/1/",
    "//evil.example/",
    "/%00",
    "/r/%00",
    "/image/%00",
    "/static/%00",
    "/static/../server.py",
    "/static/%2e%2e/server.py",
    "/static/" + "a" * 5000,
    "/static/%ff%fe",
    "/r/%ff",
    "/r/%ed%a0%80",
    "/%",
    "/%zz",
    "/task/٣".encode().decode("latin-1"),
    "/task/%D9%A3",
    "/task/-1",
    "/task/1e9",
    "/task/0x1",
    "*",
    "http://[::1",
    "http://evil.example/task/0",
    "/?" + "a=1&" * 3000,
    "/prescreen/0?at=" + "9" * 5000,
    "/prescreen/0/batch?from=%ff%00",
    "/admin/answers.csv?x=%00",
    "/task/1;x=1",
    "/.git/config",
    "/image/" + "0" * 32,
    "/static",
    "/static/",
]
HEADERS = [
    b"Content-Length: -1",
    b"Content-Length: 1e3",
    b"Content-Length: " + b"9" * 4301,
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Cookie: " + b"a=b; " * 2500,
    b"Cookie: annotate-faces-rater=\xff\xfe\x80",
    b'Cookie: annotate-faces-rater="; annotate-faces-admin=;;;=;',
    b"X: " + b"a" * 70_000,
    b"Host: [",
    b"Host: [::1",
    b"Host: \xff",
    b"Host: a\r\nHost: b",
    b"Host: x:99999999",
    b"Accept: \xff",
    b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: application/x-www-form-urlencoded; charset=utf-16",
    b"Expect: 100-continue",
    b"Range: bytes=" + b"0-1," * 500,
    b"Range: bytes=9" + b"9" * 4400 + b"-",
    b"If-Modified-Since: \xff",
    b"If-Modified-Since: Mon, 99 Foo 99999 99:99:99",
    b"If-None-Match: \xff\xff",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Bad Header: 1",
    b": 1",
    b"X\0: 1",
    b"X: \0",
    b"If-Range: \xff\r\nRange: bytes=0-",
    b'Forwarded: for="[::"',
    b"X-Forwarded-For: " + b"a," * 99,
    b"X-Forwarded-Proto: \xff",
]
METHODS = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"PATCH",
    b"get",
    b"X" * 200,
    b"\xff",
    b"",
]


def test_odd_requests_are_answered_and_no_fault(served: Served) -> None:
    tokens = {
        "rater": served.store.add_raters(["r001"])[0][1],
        "admin": served.store.new_staff_token("admin"),
        "screener": served.store.new_staff_token("screener"),
    }
    cookies = ("Cookie: " + "; ".join(f"annotate-faces-{role}={token}" for role, token in tokens.items())).encode()
    entry = f"/r/{tokens['rater']}"
    found = set()
    for path in [*PATHS, entry, "/", "/consent", "/static/style.css", "/admin", "/prescreen"]:
        for method in (
            METHODS
            if path in ("/", entry, "/consent", "/static/style.css", "/admin", "/task/1/", "*")
            else (b"GET", b"POST")
        ):
            status = served.ask(
                method
                + b" "
                + path.encode("latin-1")
                + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                + cookies
                + b"\r\n\r\n"
            )
            found.add(status)
            assert status < 500, (method, path, status)
    for header in HEADERS:
        for start in (
            b"GET " + entry.encode(),
            b"POST /consent",
            b"GET /static/style.css",
            b"POST /task/0",
            b"GET /task/1/",
        ):
            host = b"" if header.startswith(b"Host") else b"Host: x\r\n"
            status = served.ask(
                start + b" HTTP/1.1\r\n" + host + header + b"\r\nConnection: close\r\n\r\nzz\r\nnot a chunk\r\n"
            )
            found.add(status)
            assert status < 500, (start, header[:80], status)
    assert {200, 303, 400, 401, 404, 405} <= found
    assert "Traceback" not in "".join(served.log)
    assert len("".join(served.log)) < 5_000


def test_bodies_of_noise(served: Served) -> None:
    rng = random.Random(0)
    ((_, token),) = served.store.add_raters(["r001"])
    cookie = f"Cookie: annotate-faces-rater={token}\r\nConnection: close\r\n".encode()
    bodies = [
        b"csrf=%ed%a0%80",
        b"csrf=%ff",
        b"=&=&",
        b"a" * 40_000,
        b"&" * 30_000,
        b"a=1&" * 300,
        "csrf=é".encode(),
        b"csrf=%00",
        b"%",
        b"csrf=1&csrf=2",
        b"\0",
    ]
    for body in [*bodies, *(rng.randbytes(200) for _ in range(40))]:
        for path in (b"/consent", b"/task/0"):
            request = POST.replace(b"/consent", path) + cookie + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            assert served.ask(request) in (303, 400, 403, 413, 415, 422)
    assert served.log == []


def test_huge_numbers_in_the_app_itself(tmp_path: Path) -> None:
    store = AnswerStore(load_study(write_study(tmp_path)), tmp_path / "a.sqlite3")
    client = TestClient(create_app(store.study, store), follow_redirects=False)
    assert client.get("/task/" + "9" * 4301).status_code == 401
    assert client.post("/task/" + "9" * 4301).status_code in (401, 415)
    store.close()


def test_an_address_in_use_is_one_line(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path))
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(HardwareError, match=r"cannot listen on 127\.0\.0\.1:\d+"),
    ):
        serve(study, tmp_path / "a.sqlite3", "127.0.0.1", taken.getsockname()[1])


def test_one_fault_cannot_fill_the_log() -> None:
    written: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    logger = logging.getLogger("test.bounded")
    logger.propagate = False
    logger.addHandler(Kept())
    logger.addFilter(BoundedLog())

    def fail(depth: int) -> None:
        if depth:
            fail(depth - 1)
        raise ValueError("x" * 100_000)

    for i in range(1000):
        try:
            fail(200)
        except ValueError:
            logger.exception("fault %d %s", i, "y" * 100_000)
        logger.error("another %d", i)
    assert len(written) == 10
    assert max(map(len, written)) < 7_000
    assert "ValueError" in written[0]


def test_pictures_that_would_stop_a_browser_or_the_server(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (40_000).to_bytes(4, "big") * 2 + b"\1\0\0\0\0" + b"\0" * 99
    (tmp_path / "huge.png").write_bytes(header)
    with pytest.raises(BadDataError, match="40,000 x 40,000 px"):
        list_images(tmp_path, ["huge.png"], "study")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(MissingDataError, match=name):
            list_images(tmp_path, [name], "study")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: " + "[" * 5_000 + "]" * 5_000, "nested"),
        ("a: " + "{b: " * 3_000 + "1" + "}" * 3_000, "nested"),
        ("".join("  " * i + "a:\n" for i in range(400)), "nested"),
        (
            "\n".join(
                [f"a0: &a0 [{'x,' * 9}x]", *(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}*a{i - 1}]" for i in range(1, 12))]
            ),
            "alias",
        ),
        ("a: &a [*a]", "nested"),
        ("a: &a\n  b: 1\n  c: *a", "nested"),
        ("seed: " + "9" * 5_000, "cannot be read"),
        ("a: 2024-99-99", "cannot be read"),
        ("? [a, b]\n: c", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_study_files_that_bite(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    began = time.process_time()  # not the seconds that a loaded machine spends on others
    with pytest.raises(SpecError, match=reason):
        read_yaml(tmp_path / "study.yaml")
    assert time.process_time() - began < 5
