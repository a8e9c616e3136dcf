import csv
import errno
import gzip
import io
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.parse
import zlib
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from fer_bench.data.file_names import unfit
from fer_bench.datasets.download.body import BodyDecoder, BodyError, image_defect
from fer_bench.datasets.download.images import download_findingemo
from fer_bench.datasets.download.limits import DownloadLimits
from fer_bench.datasets.download.links import read_url_list, safe_target
from fer_bench.datasets.findingemo.manifest import MANIFEST
from fer_bench.errors import BadDataError, FerBenchError, HardwareError, MissingDataError, SpecError
from tests.datasets import findingemo_lines

pytest.importorskip("httpx")
from fer_bench.datasets.download.guard import RefusedLinkError, is_public, parse_link


def encoded(kind, size=(64, 48)):
    content = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(content, kind)
    return content.getvalue()


IMAGE = encoded("JPEG")


def bomb():
    """Ten kilobytes that are a gigabyte after two decodings, and ten megabytes after the first."""
    once = gzip.compress(bytes(2**23))
    return gzip.compress(once * 128)


BOMB, BOMB_ONCE = bomb(), gzip.compress(bytes(2**24))
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
LIMITS = DownloadLimits(
    concurrency=4, host_interval=0.0, idle_timeout=20, total_timeout=60, max_bytes=200_000, max_redirects=3
)
# Only for what must time out, each by the one limit that can end it: on a busy machine anything may.
SHORT_PAUSE, SHORT_ALL = replace(LIMITS, idle_timeout=0.6), replace(LIMITS, total_timeout=0.6)
SHORT = {"hang": SHORT_PAUSE, "drip": SHORT_ALL, "drip-header": SHORT_ALL}


class Misbehaving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.hits.append((self.path, time.monotonic()))
        with self.server.lock:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            getattr(self, self.path.strip("/").split("/")[0].replace("-", "_"))()
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.lock:
                self.server.now -= 1

    def log_message(self, *args):
        pass

    def answer(self, status, content=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length != "none":
            self.send_header("Content-Length", str(len(content) if length is None else length))
        else:
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)

    def image(self):
        self.answer(200, IMAGE, Content_Type="image/jpeg")

    def slow_image(self):
        time.sleep(0.1)
        self.image()

    def gone(self):
        self.answer(404)

    def busy(self):
        self.answer(503)

    def html(self):
        self.answer(200, b"<html>This domain is for sale</html>", Content_Type="image/jpeg")

    def empty(self):
        self.answer(200)

    def cut(self):
        self.answer(200, IMAGE[: len(IMAGE) // 2], length=len(IMAGE))
        self.close_connection = True

    def half(self):
        self.answer(200, IMAGE[: len(IMAGE) // 2])

    def hang(self):
        self.server.released.wait(60)
        self.close_connection = True

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b"x")
            if self.server.released.wait(0.1):
                break
        self.close_connection = True

    def drip_header(self):
        for _ in range(600):
            self.wfile.write(b"H")
            if self.server.released.wait(0.1):
                break
        self.close_connection = True

    def loop(self):
        self.answer(302, Location="/loop")

    def moved(self):
        self.answer(301, Location="/image")

    def elsewhere(self):
        self.answer(302, Location="file:///etc/passwd")

    def announced(self):
        self.answer(200, IMAGE, length=10**9)
        self.close_connection = True

    def gzipped(self):
        self.answer(200, gzip.compress(IMAGE[:1000]) + gzip.compress(IMAGE[1000:]) + bytes(8), Content_Encoding="gzip")

    def deflated(self):
        self.answer(200, zlib.compress(IMAGE), Content_Encoding="deflate")

    def deflated_bare(self):
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self.answer(200, packer.compress(IMAGE) + packer.flush(), Content_Encoding="Deflate")

    def bomb(self):
        self.answer(200, BOMB, Content_Encoding="gzip, gzip")

    def bomb_in_two_headers(self):
        self.send_response(200)
        for _ in range(2):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(BOMB)))
        self.end_headers()
        self.wfile.write(BOMB)

    def bomb_once(self):
        self.answer(200, BOMB_ONCE, Content_Encoding="gzip")

    def nothing_gzipped(self):
        self.answer(200, gzip.compress(b"") * 20_000, Content_Encoding="gzip")

    def brotli(self):
        self.answer(200, IMAGE, Content_Encoding="br")

    def not_gzipped(self):
        self.answer(200, IMAGE, Content_Encoding="gzip")

    def forbidden(self):
        self.answer(403)

    def long_length(self):
        self.answer(200, IMAGE, length="9" * 5000)
        self.close_connection = True

    def postscript(self):
        self.answer(200, POSTSCRIPT)

    def status(self):
        self.answer(int(self.path.split("/")[2]))

    def later(self):
        """Too many requests, once for each path; then the image."""
        if sum(path == self.path for path, _ in self.server.hits) == 1:
            self.answer(429, Retry_After="1")
        else:
            self.image()

    def web(self):
        """As the Wayback Machine: the nearest capture of a link, by a redirect to it; none of others."""
        if "captured" not in self.path:
            self.answer(404)
        elif "/web/2019" in self.path:
            self.image()
        else:
            self.answer(302, Location=self.path.replace("20230101000000if_", "20190203040506if_"))

    def to(self):
        """Redirect to what follows in the path, quoted."""
        self.answer(302, Location=urllib.parse.unquote(self.path.split("/", 2)[2]))

    def endless(self):
        self.answer(200, IMAGE + bytes(400_000), length="none")


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving)
    server.daemon_threads = True
    server.hits, server.lock, server.now, server.most, server.released = [], threading.Lock(), 0, 0, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """Download {rel_path: [pages]} into tmp_path/images."""

    def fetch(images, limits=LIMITS, **kwargs):
        links = [
            {"rel_path": rel_path, "url": page if "://" in page else f"{server.url}/{page}", "idx_url": i}
            for rel_path, pages in images.items()
            for i, page in enumerate(pages)
        ]
        (tmp_path / "urls.json").write_text(json.dumps(links[::-1]))
        report = download_findingemo(tmp_path / "urls.json", tmp_path / "images", limits, **kwargs)
        with report.gone_csv.open(newline="") as file:
            table = {row["rel_path"]: (row["outcome"], row["reasons"]) for row in csv.DictReader(file)}
        return {k: v for k, v in report.counts.items() if v}, table

    return fetch


def files(tmp_path):
    root = tmp_path / "images"
    return sorted(
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if p.is_file() and ".fer_bench-download" not in p.parts and p.name != MANIFEST
    )


def test_downloads_and_resumes(server, fetch, tmp_path):
    images = {"Run_1/one two/a.jpg": ["image"], "/Run_2/x/b.jpg": ["moved"], "Run_2/x/c.jpg": ["gone", "html", "image"]}
    assert fetch(images) == ({"downloaded": 3}, {})
    assert files(tmp_path) == ["Run_1/one two/a.jpg", "Run_2/x/b.jpg", "Run_2/x/c.jpg"]
    assert (tmp_path / "images/Run_2/x/b.jpg").read_bytes() == IMAGE
    assert [path for path, _ in server.hits if path in ("/gone", "/html")] == ["/gone", "/html"]
    server.hits.clear()
    assert fetch(images) == ({"present": 3}, {})
    assert not server.hits


def test_a_damaged_file_is_fetched_again(fetch, tmp_path):
    fetch({"x/a.jpg": ["image"]})
    (tmp_path / "images/x/a.jpg").write_bytes(IMAGE[: len(IMAGE) // 2])
    assert fetch({"x/a.jpg": ["image"]}) == ({"downloaded": 1}, {})
    assert (tmp_path / "images/x/a.jpg").read_bytes() == IMAGE


@pytest.mark.parametrize(
    ("page", "outcome", "reason"),
    [
        ("gone", "gone", "HTTP 404"),
        ("html", "gone", "not an image"),
        ("empty", "gone", "not an image"),
        ("half", "gone", "not an image"),
        ("loop", "gone", "more than 3 redirects"),
        ("elsewhere", "gone", "redirects to something else"),
        ("announced", "gone", "larger than"),
        ("endless", "gone", "larger than"),
        ("file:///etc/passwd", "gone", "not an http(s) URL"),
        ("http://", "gone", "not an http(s) URL"),
        ("bomb", "gone", "2 content encodings"),
        ("bomb-in-two-headers", "gone", "2 content encodings"),
        ("bomb-once", "gone", "larger than"),
        ("nothing-gzipped", "gone", "larger than"),
        ("brotli", "gone", "content encoding 'br'"),
        ("not-gzipped", "gone", "damaged content encoding"),
        ("postscript", "gone", "not an image"),
        ("long-length", "failed", "Error"),
        ("forbidden", "forbidden", "HTTP 403"),
        ("busy", "failed", "HTTP 503"),
        ("cut", "failed", "RemoteProtocolError"),
        ("hang", "failed", "Timeout"),
        ("drip", "failed", "took longer than 0.6 s"),
        ("drip-header", "failed", "took longer than 0.6 s"),
        ("http://127.0.0.1:1/x", "failed", "ConnectError"),
    ],
)
def test_bad_answers_leave_nothing(server, fetch, tmp_path, page, outcome, reason):
    limits = SHORT.get(page, LIMITS)
    start = time.monotonic()
    counts, table = fetch({"x/a.jpg": [page]}, limits)
    assert time.monotonic() - start < 20
    assert counts == {outcome: 1}
    assert table["x/a.jpg"][0] == outcome
    assert reason in table["x/a.jpg"][1]
    assert files(tmp_path) == []
    # What is gone is not asked for again, unless told so or the list has a new link; what failed is.
    asked = len(server.hits)
    assert fetch({"x/a.jpg": [page]}, limits)[0] == {outcome: 1}
    assert (len(server.hits) > asked) == (outcome in ("failed", "forbidden") and "127.0.0.1:1/" not in page)
    if outcome == "gone":
        assert fetch({"x/a.jpg": [page]}, retry_gone=True)[0] == {"gone": 1}
        assert (len(server.hits) > asked) == ("://" not in page)
        assert fetch({"x/a.jpg": [page, "image"]})[0] == {"downloaded": 1}


@pytest.mark.parametrize("page", ["gzipped", "deflated", "deflated-bare"])
def test_one_content_encoding_is_undone(fetch, tmp_path, page):
    assert fetch({"x/a.jpg": [page]}) == ({"downloaded": 1}, {})
    assert (tmp_path / "images/x/a.jpg").read_bytes() == IMAGE


def test_a_bomb_never_is_in_memory():
    """Pieces are small however much a body holds."""
    tracemalloc.start()
    try:
        decoder = BodyDecoder("gzip")
        sizes = [len(piece) for piece in decoder.pieces(gzip.compress(bytes(2**26)))]
        assert sum(sizes) == 2**26
        assert max(sizes) <= 2**16
        assert tracemalloc.get_traced_memory()[1] < 2**26 + 2**22  # the 64 MiB that this test made itself
    finally:
        tracemalloc.stop()
    with pytest.raises(BodyError, match="3 content encodings"):
        BodyDecoder("gzip, br,gzip")


BAD_LINKS = [
    "http://127.0.0.1:99999/a.jpg",
    "http://127.0.0.1:0/a.jpg",
    "http://127.0.0.1:-1/a.jpg",
    "http://127.0.0.1:1e3/a.jpg",
    "http://xn--/",
    "http://xn--a/",
    "http://\ud800/a.jpg",
    "http://127.0.0.1:1/\udfff.jpg",
    "http://" + "a" * 64 + ".invalid/",
    "http://" + "a." * 200 + "invalid/",
    "http://127.0.0.1:1/" + "x" * 100_000,
    "http://127.0.0.1:1/\0",
    "http://127.0.0.1:1/\r\nHost: x",
    "http://[::1/",
    "http://[1:2:3]/",
    "http://[fe80::1%25eth0]/",
    "http://user:secret@127.0.0.1:1/a.jpg",
    "http://.../",
    "http://",
    "http:///a.jpg",
    "ftp://127.0.0.1/a.jpg",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "//127.0.0.1/a.jpg",
    "images/a.jpg",
    "",
    "   ",
    "\u202e",
]
BAD_PATHS = [
    "x/\ud800.jpg",
    "x/" + "a" * 300,
    "a/" * 2000 + "b.jpg",
    "/".join(["a" * 200] * 30),
    "x/nul",
    "NUL",
    "Con.jpg",
    "x/com1.tar.gz",
    "x/LPT¹.jpg",
    "x/trail. ",
    "x/trail.",
    "x /a.jpg",
    "x/ a.jpg",
    "x/\u00a0",
    "x/gpj.\u202ea.exe",
    "x/a\u200b.jpg",
    "x/a\u2028.jpg",
    "C:a.jpg",
    ".FER_BENCH-DOWNLOAD/gone.jsonl",
]
BAD_ENTRIES = [
    None,
    7,
    "x",
    [],
    {},
    {"rel_path": "x/a.jpg"},
    {"rel_path": 3, "url": "u", "idx_url": 0},
    {"rel_path": "x/a.jpg", "url": None, "idx_url": 0},
    {"rel_path": "x/a.jpg", "url": "u", "idx_url": -1},
    {"rel_path": "x/a.jpg", "url": "u", "idx_url": True},
    {"rel_path": "x/a.jpg", "url": "u", "idx_url": 1.5},
    {"rel_path": "x/a.jpg", "url": "u", "idx_url": "9" * 5000},
    {"rel_path": "x/a.jpg", "url": ["u"], "idx_url": 0},
]


def test_no_entry_ends_the_download(server, fetch, tmp_path):
    good = {"rel_path": "good/a.jpg", "url": f"{server.url}/image", "idx_url": 1}
    bad = [{"rel_path": f"bad/{i}.jpg", "url": link, "idx_url": 1} for i, link in enumerate(BAD_LINKS)]
    bad += [{"rel_path": path, "url": f"{server.url}/image", "idx_url": 1} for path in BAD_PATHS]
    text = json.dumps([*bad, *BAD_ENTRIES, good])
    # What no JSON of Python's own making holds: a number of 5,000 digits, and bytes that are not UTF-8.
    strange = '{"rel_path": "bad/number.jpg", "url": "u", "idx_url": ' + "9" * 5000 + "}"
    text = text[:-1] + ", " + strange + ', {"rel_path": "bad/@@.jpg", "url": "u", "idx_url": 1}]'
    (tmp_path / "urls.json").write_bytes(text.encode().replace(b"@@", b"\xff\xfe"))
    for _ in range(2):
        report = download_findingemo(tmp_path / "urls.json", tmp_path / "images", LIMITS)
        counts = {outcome: count for outcome, count in report.counts.items() if count}
        assert counts.pop("downloaded", 0) + counts.pop("present", 0) == 1
        assert counts.pop("refused") == len(BAD_PATHS) + len(BAD_ENTRIES) + 2
        assert counts.pop("gone") + counts.pop("failed") == len(BAD_LINKS)
        assert not counts
    assert files(tmp_path) == ["good/a.jpg"]
    assert [path for path, _ in server.hits] == ["/image"]
    assert report.gone_csv.stat().st_size < 60_000
    assert not list((tmp_path / "images/.fer_bench-download").rglob("*part*"))


@pytest.mark.parametrize("link", BAD_LINKS)
def test_a_bad_link_is_a_reason(link):
    try:
        assert parse_link(link).host
    except RefusedLinkError as error:
        assert 5 < len(str(error)) < 100


def test_an_image_and_its_name_with_part(server, fetch, tmp_path):
    """In whatever order and at the same time: both are there, whole."""
    images = {"x/a.jpg": ["slow-image"], "x/a.jpg.part": ["slow-image"], "x/a.jpg.part.part": ["image"]}
    assert fetch(images) == ({"downloaded": 3}, {})
    assert files(tmp_path) == sorted(images)
    assert {(tmp_path / "images" / name).read_bytes() for name in images} == {IMAGE}
    assert fetch(images) == ({"present": 3}, {})
    assert fetch({"x/a.jpg": ["image"]}) == ({"present": 1}, {})
    assert files(tmp_path) == sorted(images)  # a whole image of such a name is no leftover


def test_two_names_that_are_one_on_some_systems(fetch, tmp_path):
    images = {
        "X/a.jpg": ["image"],
        "x/A.JPG": ["image"],
        "x/caf\u00e9.jpg": ["image"],
        "x/cafe\u0301.jpg": ["image"],
        "x/a:b.jpg": ["image"],
        "x/a%3Ab.jpg": ["image"],
    }
    counts, table = fetch(images)
    assert counts == {"downloaded": 3, "refused": 3}
    assert all("same file" in reasons for _, reasons in table.values())
    assert len(files(tmp_path)) == 3


def test_names_that_windows_cannot_store_are_encoded(fetch, tmp_path):
    published = json.loads(findingemo_lines.URLS)[3]["rel_path"]
    assert ":" in published
    assert fetch({published: ["image"], 'x/what*1200?"<>|.jpg': ["image"]}) == ({"downloaded": 2}, {})
    assert files(tmp_path) == [published.strip("/").replace(":", "%3A"), "x/what%2A1200%3F%22%3C%3E%7C.jpg"]
    # A copy that the authors' program made has the names of the list.
    (tmp_path / "images/x/what%2A1200%3F%22%3C%3E%7C.jpg").rename(tmp_path / 'images/x/what*1200?"<>|.jpg')
    assert fetch({'x/what*1200?"<>|.jpg': ["gone"]}) == ({"present": 1}, {})


def test_the_published_list_is_read(tmp_path):
    (tmp_path / "urls.json").write_text(findingemo_lines.URLS, encoding="utf-8")
    wanted = read_url_list(tmp_path / "urls.json")
    assert len(wanted) == 6
    assert not any(image.defect for image in wanted)
    assert [len(image.urls) for image in wanted] == [1, 1, 1, 1, 3, 1]
    assert wanted[0].rel_path == "Run_1/Accepting adults competition/bible-say-caring-old-parents.jpg"
    assert not any(unfit(image.rel_path) for image in wanted)


@pytest.fixture
def inside():
    """A server of the private network that must not be reached, and how often it was."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.01)
    reached, stop = [], threading.Event()

    def serve():
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                reached.append(connection.recv(4096))
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(IMAGE)}\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode() + IMAGE)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], reached
    stop.set()
    thread.join()
    listener.close()


INSIDE = [
    "http://127.0.0.1:{}/a.jpg",
    "http://127.0.0.2:{}/a.jpg",
    "http://localhost:{}/a.jpg",
    "http://LOCALHOST.:{}/a.jpg",
    "http://x.localhost:{}/a.jpg",
    "http://2130706433:{}/a.jpg",
    "http://0x7f000001:{}/a.jpg",
    "http://0x7f.1:{}/a.jpg",
    "http://017700000001:{}/a.jpg",
    "http://127.1:{}/a.jpg",
    "http://0.0.0.0:{}/a.jpg",
    "http://0:{}/a.jpg",
    "http://[::1]:{}/a.jpg",
    "http://[::ffff:127.0.0.1]:{}/a.jpg",
    "http://[::ffff:7f00:1]:{}/a.jpg",
    "http://[::127.0.0.1]:{}/a.jpg",
    "http://[64:ff9b::7f00:1]:{}/a.jpg",
    "http://[2002:7f00:1::]:{}/a.jpg",
    "http://10.0.0.1:{}/a.jpg",
    "http://192.168.0.1:{}/a.jpg",
    "http://172.16.0.1:{}/a.jpg",
    "http://100.64.0.1:{}/a.jpg",
    "http://169.254.169.254:{}/latest/meta-data",
    "http://[fe80::1]:{}/a.jpg",
    "http://[fd00::1]:{}/a.jpg",
    "http://224.0.0.1:{}/a.jpg",
    "http://255.255.255.255:{}/a.jpg",
    "http://name-of-inside.test:{}/a.jpg",
]


@pytest.fixture
def names(monkeypatch):
    """Names of hosts, and the addresses they resolve to in turn; other names are asked for as always."""
    answers = {"name-of-inside.test": ["127.0.0.1"]}
    asked = Counter()
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        host = host.decode() if isinstance(host, bytes) else host
        if host not in answers:
            return real(host, port, *args, **kwargs)
        found = answers[host][min(asked[host], len(answers[host]) - 1)]
        asked[host] += 1
        return [(socket.AF_INET6 if ":" in found else socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


@pytest.mark.parametrize("address", INSIDE)
def test_no_redirect_leads_inside(server, fetch, tmp_path, inside, names, address):
    port, reached = inside
    quoted = urllib.parse.quote(address.format(port), safe="")
    counts, table = fetch({"x/a.jpg": [f"to/{quoted}"]})
    assert counts == {"failed": 1}
    assert "not a public address" in table["x/a.jpg"][1]
    assert not reached
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{}/a.jpg",
        "http://2130706433:{}/a.jpg",
        "http://localhost:{}/a.jpg",
        "http://name-of-inside.test:{}/a.jpg",
    ],
)
def test_redirects_lead_inside_where_asked(fetch, tmp_path, inside, names, address):
    port, reached = inside
    quoted = urllib.parse.quote(address.format(port), safe="")
    assert fetch({"x/a.jpg": [f"to/{quoted}"]}, replace(LIMITS, allow_private=True))[0] == {"downloaded": 1}
    assert len(reached) == 1


PLAIN = (
    "http://127.0.0.1:",
    "http://127.0.0.2:",
    "http://localhost:",
    "http://LOCALHOST.:",
    "http://x.localhost:",
    "http://[::1]:",
    "http://[fd00::1]:",
)
PLAIN_NETWORKS = ("http://10.", "http://192.168.", "http://172.16.")


@pytest.mark.parametrize(
    "address", [address for address in INSIDE if not address.startswith((*PLAIN, *PLAIN_NETWORKS))]
)
def test_a_list_names_the_inside_plainly_or_not_at_all(fetch, inside, names, address):
    port, reached = inside
    counts, table = fetch({"x/a.jpg": [address.format(port)]}, SHORT_ALL)
    assert counts == {"failed": 1}
    assert "not a public address" in table["x/a.jpg"][1]
    assert not reached


def test_a_listed_private_address_is_asked_for(fetch, inside):
    port, reached = inside
    assert fetch({"x/a.jpg": [f"http://127.0.0.1:{port}/a.jpg"]})[0] == {"downloaded": 1}
    assert len(reached) == 1


def test_a_name_that_changes_its_address(fetch, inside, names):
    """The address that was judged is the one that is connected to."""
    port, reached = inside
    names["rebinding.test"] = ["192.0.2.1", "127.0.0.1"]  # for documentation: not public either
    names["mapped.test"] = ["::ffff:127.0.0.1"]
    counts, _ = fetch(
        {
            f"x/{name}{i}.jpg": [f"http://{name}.test:{port}/a.jpg"]
            for name in ("rebinding", "mapped")
            for i in range(3)
        },
        SHORT_ALL,
    )
    assert counts == {"failed": 6}
    assert not reached


def test_which_addresses_are_public():
    for address in ("8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"):
        assert is_public(address)
    for address in (
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "::",
        "::1",
        "fe80::1%eth0",
    ):
        assert not is_public(address)
    for address in (
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ):
        assert not is_public(address)


def test_a_proxy_of_the_environment_is_used(server, fetch, monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, server.url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    counts, table = fetch({"x/a.jpg": ["http://name.invalid/image"], "x/b.jpg": ["http://2130706433/image"]})
    assert [path for path, _ in server.hits] == ["http://name.invalid/image"]
    assert "not a public address" in table["x/b.jpg"][1]
    assert counts["failed"] >= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats_of_images(tmp_path, kind):
    (tmp_path / "a").write_bytes(encoded(kind))
    assert image_defect(tmp_path / "a") is None


@pytest.mark.parametrize("kind", ["EPS", "PPM", "PCX", "TGA", "ICO", "SGI", "DDS", "JPEG2000", "PDF"])
def test_other_formats_are_not_opened(tmp_path, kind):
    (tmp_path / "a").write_bytes(encoded(kind))
    assert "not an image" in image_defect(tmp_path / "a")


def test_images_of_too_many_pixels_are_not_decoded(tmp_path):
    def png(width, height):
        def chunk(name, data):
            return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

        head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
        rows = zlib.compress(bytes(10**6))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

    for size in ((9000, 9000), (40_000, 40_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "a.png").write_bytes(png(*size))
        start = time.process_time()
        assert image_defect(tmp_path / "a.png") is not None
        assert time.process_time() - start < 1


def test_a_jpeg_of_endless_scans_is_not_decoded(tmp_path):
    (tmp_path / "a").write_bytes(IMAGE[:-2] + b"\xff\xda" * 600 + IMAGE[-2:])
    assert "scans" in image_defect(tmp_path / "a")


def test_an_image_of_very_many_links(server, fetch):
    counts, table = fetch({"x/a.jpg": [f"images/{i}.jpg://" for i in range(5000)]})
    assert counts == {"gone": 1}
    assert len(table["x/a.jpg"][1]) < 5000
    assert fetch({"x/a.jpg": [f"images/{i}.jpg://" for i in range(5000)]})[0] == {"gone": 1}


def test_redirects_are_polite_too(server, fetch):
    limits = DownloadLimits(concurrency=3, host_interval=0.1)
    assert fetch({f"x/{i}.jpg": ["moved"] for i in range(3)}, limits)[0] == {"downloaded": 3}
    starts = sorted(t for _, t in server.hits)
    assert starts[-1] - starts[0] >= 5 * 0.1 * 0.9


def test_a_killed_download_leaves_nothing_after_the_next_one(server, tmp_path):
    """Killed for good while a file is being written, by a process of its own."""
    (tmp_path / "urls.json").write_text(
        json.dumps([{"rel_path": "x/a.jpg", "url": f"{server.url}/drip", "idx_url": 1}])
    )
    code = (
        "import sys; from pathlib import Path; from fer_bench.datasets.download.images import download_findingemo as d;"
        " d(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "urls.json", tmp_path / "images"])
    parts = tmp_path / "images/.fer_bench-download/parts"
    start = time.monotonic()
    while not (parts.is_dir() and list(parts.iterdir())) and time.monotonic() - start < 60:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert len(list(parts.iterdir())) == 1
    # Earlier versions wrote beside the image, and the table beside itself.
    for leftover in ("images/x/a.jpg.part", "images/.fer_bench-download/gone.csv.part"):
        (tmp_path / leftover).parent.mkdir(exist_ok=True)
        (tmp_path / leftover).write_bytes(IMAGE[:100])
    (tmp_path / "urls.json").write_text(
        json.dumps([{"rel_path": "x/a.jpg", "url": f"{server.url}/image", "idx_url": 1}])
    )
    assert download_findingemo(tmp_path / "urls.json", tmp_path / "images", LIMITS).counts["downloaded"] == 1
    assert files(tmp_path) == ["x/a.jpg"]
    assert sorted(p.name for p in (tmp_path / "images/.fer_bench-download").iterdir() if p.suffix != ".lock") == [
        "gone.csv"
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO])
def test_a_full_disk_ends_the_download_in_one_line(fetch, tmp_path, monkeypatch, number):
    assert fetch({"x/a.jpg": ["image"]}) == ({"downloaded": 1}, {})

    def replaced(self, target):
        raise OSError(number, "no room")

    monkeypatch.setattr(Path, "replace", replaced)
    with pytest.raises(HardwareError, match="no room"):
        fetch({"x/a.jpg": ["image"], "x/b.jpg": ["image"]})
    assert files(tmp_path) == ["x/a.jpg"]
    assert not (tmp_path / "images/.fer_bench-download/parts").exists()


def test_a_limit_on_the_size_of_files(server, tmp_path):
    (tmp_path / "urls.json").write_text(
        json.dumps([{"rel_path": "x/a.jpg", "url": f"{server.url}/image", "idx_url": 1}])
    )
    code = (
        "import resource, sys; from pathlib import Path; "
        "from fer_bench.datasets.download.images import download_findingemo as d\n"
        "from fer_bench.errors import HardwareError; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: d(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except HardwareError as error: print(error)"
    )
    # -B: a module that is compiled now would be cut to a thousand bytes, for everybody.
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, tmp_path / "urls.json", tmp_path / "images"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write: File too large" in done.stdout
    assert files(tmp_path) == []


def test_a_folder_that_may_not_be_written_refuses_its_own_images(fetch, tmp_path, monkeypatch):
    real = Path.replace

    def replaced(self, target):
        if Path(target).parent.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    counts, table = fetch({"locked/a.jpg": ["image"], "x/b.jpg": ["image"]})
    assert counts == {"refused": 1, "downloaded": 1}
    assert "Permission denied" in table["locked/a.jpg"][1]


def test_the_table_holds_no_formulas(fetch):
    _, table = fetch({"=cmd|' /C calc'!A0/a.jpg": ["gone"], "@x/a.jpg": ["gone"], "-x/a.jpg": ["gone"]})
    assert sorted(table) == ["'-x/a.jpg", "'=cmd|' /C calc'!A0/a.jpg", "'@x/a.jpg"]


def test_one_hanging_server_does_not_stop_the_others(fetch):
    limits = replace(LIMITS, idle_timeout=2)
    counts, _ = fetch({"x/slow.jpg": ["hang"]} | {f"x/{i}.jpg": ["image"] for i in range(8)}, limits)
    assert counts == {"downloaded": 8, "failed": 1}


TRICKS = [
    "../a.jpg",
    "x/../../a.jpg",
    "x/..",
    "..",
    "x//a.jpg",
    "x/./a.jpg",
    "C:/a.jpg",
    "x\\..\\a.jpg",
    "x/a\0.jpg",
    "x/a\n.jpg",
    "",
    "/",
    "x/" + "a" * 300,
]


@pytest.mark.parametrize("rel_path", [*TRICKS, ".fer_bench-download/gone.jsonl", "link/a.jpg", "linked.jpg"])
def test_path_tricks_are_refused(server, fetch, tmp_path, rel_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/link").symlink_to(outside)
    (tmp_path / "images/linked.jpg").symlink_to(outside / "kept.txt")
    before = sorted(p for p in tmp_path.rglob("*") if "images" not in p.parts)
    counts, table = fetch({rel_path: ["image"]})
    assert counts == {"refused": 1}
    assert [outcome for outcome, _ in table.values()] == ["refused"]
    assert sorted(p for p in tmp_path.rglob("*") if "images" not in p.parts and p.name != "urls.json") == before
    assert (outside / "kept.txt").read_text() == "kept"
    assert not server.hits


def test_an_absolute_path_means_the_folder_itself(tmp_path):
    assert safe_target(tmp_path, "/etc/a.jpg") == tmp_path / "etc/a.jpg"
    assert safe_target(tmp_path, "//etc/a.jpg") == tmp_path / "etc/a.jpg"


def test_a_file_in_the_place_of_a_folder(fetch):
    fetch({"x/a.jpg": ["image"]})
    assert fetch({"x/a.jpg/b.jpg": ["image"], "x": ["image"], "y/c.jpg": ["image"]})[0] == {
        "refused": 2,
        "downloaded": 1,
    }


def test_is_polite(server, fetch):
    limits = DownloadLimits(concurrency=3, host_interval=0.05)
    # At once answered: nothing but the interval keeps the requests apart.
    assert fetch({f"x/{i}.jpg": ["image"] for i in range(8)}, limits)[0] == {"downloaded": 8}
    starts = sorted(t for _, t in server.hits)
    assert starts[-1] - starts[0] >= 7 * 0.05 * 0.9
    server.hits.clear()
    server.most = 0
    limits = DownloadLimits(concurrency=3, host_interval=0)
    assert fetch({f"y/{i}.jpg": ["slow-image"] for i in range(6)}, limits)[0] == {"downloaded": 6}
    assert server.most <= 3


def test_no_bar_where_there_is_no_terminal(fetch, capfd):
    fetch({"x/a.jpg": ["image"]})
    assert capfd.readouterr() == ("", "")


def test_a_journal_cut_off_by_a_crash(server, fetch, tmp_path):
    fetch({"x/a.jpg": ["gone"], "x/b.jpg": ["gone"]})
    journal = tmp_path / "images/.fer_bench-download/gone.jsonl"
    journal.write_text(journal.read_text()[:-20])
    server.hits.clear()
    assert fetch({"x/a.jpg": ["gone"], "x/b.jpg": ["gone"]})[0] == {"gone": 2}
    assert len(server.hits) == 1


def test_only_one_download_per_folder(fetch, tmp_path):
    control = tmp_path / "images/.fer_bench-download"
    control.mkdir(parents=True)
    with FileLock(control / "running.lock"), pytest.raises(FerBenchError, match="another download"):
        fetch({"x/a.jpg": ["image"]})


def test_unwritable_place(tmp_path, server):
    (tmp_path / "file").write_text("")
    (tmp_path / "urls.json").write_text("[]")
    with pytest.raises(FerBenchError, match="cannot write"):
        download_findingemo(tmp_path / "urls.json", tmp_path / "file")


def test_list_of_links(tmp_path):
    path = tmp_path / "urls.json"
    path.write_text(
        json.dumps(
            [{"rel_path": "/b", "url": f"http://h/{i}", "idx_url": i} for i in (10, 2, 0)]
            + [{"rel_path": "a", "url": "u", "idx_url": "0"}]
        )
    )
    wanted = read_url_list(path)
    assert [(w.rel_path, w.urls) for w in wanted] == [("b", ("http://h/0", "http://h/2", "http://h/10")), ("a", ("u",))]
    assert Counter(w.rel_path for w in wanted) == {"a": 1, "b": 1}
    for content, says in [
        ("{", "not JSON"),
        ("{}", "not a list"),
        ('[{"url": "u"}]', "entry 0"),
        ('[{"rel_path": "a", "url": 3, "idx_url": 0}]', "entry 0"),
        ("[1]", "entry 0"),
        ("[" * 100_000, "not JSON"),
    ]:
        path.write_text(content)
        with pytest.raises(BadDataError, match=says):
            read_url_list(path)
    with pytest.raises(MissingDataError):
        read_url_list(tmp_path / "none.json")


def test_limits_must_make_sense():
    with pytest.raises(SpecError):
        DownloadLimits(concurrency=0)
