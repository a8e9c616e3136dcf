"""Slow hosts, hosts that refuse, the Wayback Machine, plans and manifests, against servers of the loopback network."""

import hashlib
from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("httpx")
from fer_bench.datasets.download.images import download_findingemo
from fer_bench.datasets.download.links import Wanted
from fer_bench.datasets.download.plan import plan_download
from fer_bench.datasets.download.wayback import archived
from fer_bench.datasets.findingemo.manifest import MANIFEST, manifest_digest, read_manifest
from fer_bench.errors import BadDataError, MissingDataError
from tests.datasets.test_download import IMAGE, LIMITS, encoded, fetch, server

__all__ = ["fetch", "server"]


def test_a_slow_host_holds_only_its_own_images(server, fetch):
    """Two workers: one hangs at the slow host, whose other images wait; the other host is not kept waiting."""
    slow = server.url.replace("127.0.0.1", "localhost")
    images = {f"slow/{i}.jpg": [f"{slow}/hang"] for i in range(6)} | {f"x/{i}.jpg": ["image"] for i in range(12)}
    limits = replace(LIMITS, concurrency=2, idle_timeout=2.0, host_failures=1)
    counts, table = fetch(images, limits)
    assert counts == {"downloaded": 12, "failed": 6}
    assert sum("left requests unanswered (1 in a row)" in said for _, said in table.values()) == 5
    hung = [at for path, at in server.hits if path == "/hang"]
    others = [at for path, at in server.hits if path == "/image"]
    # One timeout, not six: it is given up. Meanwhile the others came.
    assert len(hung) == 1
    assert max(others) < hung[0] + 2.0


def test_no_two_requests_to_one_host_at_a_time(server, fetch):
    assert fetch({f"x/{i}.jpg": ["slow-image"] for i in range(4)})[0] == {"downloaded": 4}
    assert server.most == 1


def test_a_host_that_asks_for_a_pause_gets_it(server, fetch):
    assert fetch({"x/a.jpg": ["later"]})[0] == {"downloaded": 1}
    first, second = (at for path, at in server.hits if path == "/later")
    assert second - first >= 0.9


def test_the_wayback_machine_is_asked_for_dead_links(server, fetch):
    images = {"x/a.jpg": ["gone", "gone/captured.jpg"], "x/b.jpg": ["image"], "x/c.jpg": ["gone/other.jpg"]}
    images |= {"x/d.jpg": ["forbidden/captured.jpg"], "x/e.jpg": ["http://127.0.0.1:1/captured.jpg"]}
    assert fetch(images)[0] == {"downloaded": 1, "gone": 2, "forbidden": 1, "failed": 1}
    server.hits.clear()
    counts, table = fetch(images, archive=server.url)
    assert counts == {"present": 1, "archived": 3, "gone": 1}
    asked = [path for path, _ in server.hits]
    # What is known to be gone is asked of the archive alone.
    assert "/gone" not in asked
    assert f"/web/20230101000000if_/{server.url}/gone/captured.jpg" in asked
    assert f"/web/20190203040506if_/{server.url}/gone/captured.jpg" in asked
    assert "HTTP 404" in table["x/c.jpg"][1]
    server.hits.clear()
    assert fetch(images, archive=server.url)[0] == {"present": 4, "gone": 1}
    assert not server.hits


def test_links_of_archives_are_not_archived_again():
    for link in (
        "https://web.archive.org/web/20200622131741if_/https://wp.dailybruin.com/a.jpg",
        "images/a.jpg",
        "http://[::1/a.jpg",
    ):
        assert archived(link) is None
    assert archived("https://www.d-archive.org/a b.jpg?c=1") == (
        "https://web.archive.org/web/20230101000000if_/https://www.d-archive.org/a b.jpg?c=1"
    )


@pytest.mark.parametrize("status", [401, 403, 451, 999])
def test_what_a_server_refuses_is_not_gone(server, fetch, status):
    assert fetch({"x/a.jpg": [f"status/{status}", "gone"], "x/b.jpg": [f"status/{status}", "image"]})[0] == {
        "forbidden": 1,
        "downloaded": 1,
    }
    server.hits.clear()
    fetch({"x/a.jpg": [f"status/{status}", "gone"]})
    assert len(server.hits) == 2


def test_a_manifest_repeats_a_subset(server, fetch, tmp_path):
    colon = "Run_2/x/a:1.jpg"
    images = {"/Run_1/x/a.jpg": ["gone", "image/1"], colon: ["image/2"], "Run_1/x/b.jpg": ["gone"]}
    assert fetch(images)[0] == {"downloaded": 2, "gone": 1}
    path = tmp_path / "images" / MANIFEST
    kept = read_manifest(path)
    assert sorted(kept) == ["Run_1/x/a.jpg", colon]
    first = kept["Run_1/x/a.jpg"]
    assert (first.size, first.sha256) == (len(IMAGE), hashlib.sha256(IMAGE).hexdigest())
    assert first.url == f"{server.url}/image/1"
    # It is kept when the images are found there again, and is all that another needs.
    fetch(images)
    assert read_manifest(path) == kept
    server.hits.clear()
    other = download_findingemo(None, tmp_path / "other", LIMITS, manifest=path)
    assert (other.there, other.came, other.asked, other.differ) == (2, 2, 2, 0)
    assert sorted(path for path, _ in server.hits) == ["/image/1", "/image/2"]
    assert manifest_digest(read_manifest(other.manifest)) == manifest_digest(kept)
    (tmp_path / "other/Run_1/x/a.jpg").write_bytes(encoded("PNG"))
    again = download_findingemo(tmp_path / "urls.json", tmp_path / "other", LIMITS, manifest=path)
    assert (again.counts["present"], again.differ) == (2, 1)
    assert manifest_digest(read_manifest(again.manifest)) != manifest_digest(kept)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: column 'rel_path' is missing"),
        ("rel_path,url\nx,y\n", "line 1: column 'sha256' is missing"),
        ("rel_path,sha256\n", "lists no image"),
        ("rel_path,sha256\na,xyz\n", "line 2: sha256 is 'xyz'"),
        (f"rel_path,sha256\na,{'0' * 64}\n/a,{'0' * 64}\n", "line 3: a is listed twice"),
    ],
)
def test_no_manifest(tmp_path, content, says):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(BadDataError, match=says):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(MissingDataError, match="fer-bench download findingemo"):
        read_manifest(tmp_path / "none.csv")


def test_a_plan_asks_nobody(server, fetch, tmp_path):
    assert fetch({"x/a.jpg": ["image"], "x/b.jpg": ["gone"]})[0] == {"downloaded": 1, "gone": 1}
    server.hits.clear()
    wanted = [Wanted("x/a.jpg", (f"{server.url}/image",)), Wanted("x/b.jpg", (f"{server.url}/gone",))]
    wanted += [Wanted("x/c.jpg", ("http://one.test/c", "http://two.test/c")), Wanted("../d", ("http://one.test/d",))]
    wanted += [Wanted(f"x/{i}.jpg", ("http://one.test/c",)) for i in range(1199)]
    plan = plan_download(wanted, tmp_path / "images", LIMITS)
    assert (plan.images, plan.there, plan.gone, plan.refused, plan.asked, plan.links) == (1203, 1, 1, 1, 1200, 1201)
    assert plan.hosts == Counter({"one.test": 1200, "two.test": 0})
    polite = plan_download(wanted[2:], tmp_path / "none", replace(LIMITS, host_interval=6), archive="https://web.test")
    assert polite.archive == 1201
    assert polite.seconds == (7200, 7200 + 7206)
    text = "\n".join(polite.lines())
    assert "2.0 if every first link leads to an image, 4.0" in text
    assert "one.test: 1,200" in text
    assert not server.hits
    assert not (tmp_path / "none").exists()
