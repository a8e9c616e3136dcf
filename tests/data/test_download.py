import csv
import io
import json
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from filelock import FileLock
from PIL import Image

from fer_bench.data.download import DownloadLimits, download_findingemo
from fer_bench.data.download_list import read_url_list, safe_target
from fer_bench.errors import BadDataError, FerBenchError, MissingDataError, SpecError

pytest.importorskip("httpx")


def jpeg(size=(64, 48)):
    content = io.BytesIO()
    Image.effect_noise(size, 90).save(content, "JPEG")
    return content.getvalue()


IMAGE = jpeg()
LIMITS = DownloadLimits(concurrency=4, host_interval=0.0, idle_timeout=20, total_timeout=60, max_bytes=200_000, max_redirects=3)
# Only for what must time out: on a busy machine anything may.
SHORT = replace(LIMITS, idle_timeout=1.0, total_timeout=1.5)


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

    def endless(self):
        self.answer(200, IMAGE + bytes(400_000), length="none")


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving)
    server.daemon_threads = True
    server.hits, server.lock, server.now, server.most, server.released = [], threading.Lock(), 0, 0, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
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
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and ".fer_bench-download" not in p.parts)


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
        ("busy", "failed", "HTTP 503"),
        ("cut", "failed", "RemoteProtocolError"),
        ("hang", "failed", "Timeout"),
        ("drip", "failed", "took longer than 1.5 s"),
        ("drip-header", "failed", "took longer than 1.5 s"),
        ("http://127.0.0.1:1/x", "failed", "ConnectError"),
    ],
)
def test_bad_answers_leave_nothing(server, fetch, tmp_path, page, outcome, reason):
    limits = SHORT if page in ("hang", "drip", "drip-header") else LIMITS
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
    assert (len(server.hits) > asked) == (outcome == "failed" and "127.0.0.1:1/" not in page)
    if outcome == "gone":
        assert fetch({"x/a.jpg": [page]}, retry_gone=True)[0] == {"gone": 1}
        assert (len(server.hits) > asked) == ("://" not in page)
        assert fetch({"x/a.jpg": [page, "image"]})[0] == {"downloaded": 1}


def test_one_hanging_server_does_not_stop_the_others(fetch):
    limits = replace(LIMITS, idle_timeout=4)
    counts, _ = fetch({"x/slow.jpg": ["hang"]} | {f"x/{i}.jpg": ["image"] for i in range(20)}, limits)
    assert counts == {"downloaded": 20, "failed": 1}


TRICKS = ["../a.jpg", "x/../../a.jpg", "x/..", "..", "x//a.jpg", "x/./a.jpg", "C:/a.jpg", "x\\..\\a.jpg", "x/a\0.jpg", "x/a\n.jpg", "", "/", "x/" + "a" * 300]


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
    assert fetch({"x/a.jpg/b.jpg": ["image"], "x": ["image"], "y/c.jpg": ["image"]})[0] == {"refused": 2, "downloaded": 1}


def test_is_polite(server, fetch):
    limits = DownloadLimits(concurrency=3, host_interval=0.05)
    assert fetch({f"x/{i}.jpg": ["slow-image"] for i in range(8)}, limits)[0] == {"downloaded": 8}
    starts = sorted(t for _, t in server.hits)
    assert starts[-1] - starts[0] >= 7 * 0.05 * 0.9
    server.hits.clear()
    server.most = 0
    assert fetch({f"y/{i}.jpg": ["slow-image"] for i in range(12)}, DownloadLimits(concurrency=3, host_interval=0))[0] == {"downloaded": 12}
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
        json.dumps([{"rel_path": "/b", "url": f"http://h/{i}", "idx_url": i} for i in (10, 2, 0)] + [{"rel_path": "a", "url": "u", "idx_url": "0"}])
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
    ]:
        path.write_text(content)
        with pytest.raises(BadDataError, match=says):
            read_url_list(path)
    with pytest.raises(MissingDataError):
        read_url_list(tmp_path / "none.json")


def test_limits_must_make_sense():
    with pytest.raises(SpecError):
        DownloadLimits(concurrency=0)
