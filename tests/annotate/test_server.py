from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from fer_bench.annotate.export import read_answers
from fer_bench.annotate.http import MAX_BODY_BYTES
from fer_bench.annotate.server import create_app
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study

from .fakes import write_study

GOOD = {"category": "happy", "valence": "8", "arousal": "6"}


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no {name} on the page"
    return found.group(1)


def shown_image(page: str) -> str:
    found = re.search(r'src="(/image/[0-9a-f]{32})"', page)
    assert found
    return found.group(1)


class Study:
    """A running app and its store; ``client()`` is a fresh browser."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.store = AnswerStore(load_study(write_study(folder, **changes)), folder / "answers.sqlite3")
        self.app = create_app(self.store.study, self.store)

    def client(self) -> TestClient:
        return TestClient(self.app, follow_redirects=False, raise_server_exceptions=False)

    def rater(self, name: str = "r001", consent: bool = True) -> TestClient:
        ((_, token),) = self.store.add_raters([name])
        client = self.client()
        assert client.get(f"/r/{token}").status_code == 200
        if consent:
            page = client.get("/consent").text
            assert (
                client.post("/consent", data={"csrf": hidden(page, "csrf"), "agree": "yes"}).headers["location"]
                == "/instructions"
            )
        return client

    def staff(self, role: str) -> TestClient:
        client = self.client()
        entrance = {"admin": "admin", "screener": "prescreen"}[role]
        assert client.get(f"/{entrance}/enter/{self.store.new_staff_token(role)}").status_code == 200  # type: ignore[arg-type]
        return client

    def rows(self) -> int:
        return len(read_answers(self.store.path))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    made = Study(tmp_path, prescreen={"per_class": 2})
    yield made
    made.store.close()


def form(client: TestClient, position: int, **changes: str) -> dict[str, str]:
    page = client.get(f"/task/{position}").text
    return {
        "csrf": hidden(page, "csrf"),
        "revision": hidden(page, "revision"),
        "response_ms": "900",
        "action": "save",
        **GOOD,
        **changes,
    }


def test_a_whole_session(study: Study) -> None:
    client = study.rater()
    where = client.get("/").headers["location"]
    seen = []
    while where != "/done":
        page = client.get(where).text
        seen.append(shown_image(page))
        picture = client.get(seen[-1])
        assert picture.status_code == 200
        assert picture.headers["content-type"] == "image/png"
        where = client.post(where, data=form(client, int(where.rpartition("/")[2]))).headers["location"]
    assert len(seen) == 16
    assert len(set(seen)) == 14
    assert "You answered 15 of 15 pictures" in client.get("/done").text
    table = read_answers(study.store.path)
    assert list(table["kind"]).count("catch") == 1
    assert (table["response_ms"] == 900).all()
    assert table["server_ms"].between(0, 60_000).all()
    assert (table["study_version"] == "1").all()


def test_pages_do_not_tell_class_kind_or_file(study: Study) -> None:
    client = study.rater()
    for position in range(16):
        page = client.get(f"/task/{position}").text
        assert not re.search(r"laughing|catch|\.png|extra/|happy/|repeat", page)
        client.post(f"/task/{position}", data=form(client, position))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/consent",
        "/instructions",
        "/task/0",
        "/done",
        "/admin",
        "/admin/answers.csv",
        "/admin/answers.parquet",
        "/prescreen",
        "/prescreen/0",
    ],
)
def test_without_a_token_nothing_is_seen(study: Study, path: str) -> None:
    reply = study.client().get(path)
    assert reply.status_code == 401
    assert "faces" not in reply.text.lower()
    assert "personal link" in reply.text


def test_wrong_tokens(study: Study) -> None:
    study.rater()
    admin = study.store.new_staff_token("admin")
    for path in (
        "/r/x",
        f"/r/{'A' * 43}",
        f"/r/{admin}",
        "/r/'%20OR%201=1",
        "/admin/enter/x",
        f"/admin/enter/{'A' * 43}",
        f"/prescreen/enter/{admin}",
        "/r/%00",
    ):
        reply = study.client().get(path)
        assert reply.status_code == 404
        assert "set-cookie" not in reply.headers
        assert "faces" not in reply.text.lower()
    for role in ("rater", "admin", "screener"):
        client = study.client()
        client.cookies.set(f"annotate-faces-{role}", "A" * 43)
        assert {client.get(path).status_code for path in ("/task/0", "/admin", "/prescreen")} == {401}


def test_raters_are_no_admins_and_admins_no_raters(study: Study) -> None:
    assert study.rater().get("/admin").status_code == 401
    admin = study.staff("admin")
    assert admin.get("/admin").status_code == 200
    assert admin.get("/task/0").status_code == 401
    assert admin.get("/prescreen").status_code == 401


def test_nothing_before_consent(study: Study) -> None:
    client = study.rater(consent=False)
    for path in ("/", "/task/0", "/instructions"):
        assert client.get(path).headers["location"] == "/consent"
    assert all(client.get(f"/image/{item}").status_code == 404 for item in study.store.images)
    page = client.get("/consent").text
    refused = client.post("/consent", data={"csrf": hidden(page, "csrf")})
    assert refused.status_code == 422
    assert client.get("/task/0").headers["location"] == "/consent"


def test_cookie_and_security_headers(study: Study) -> None:
    ((_, token),) = study.store.add_raters(["r001"])
    reply = study.client().get(f"/r/{token}")
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    for path in (f"/r/{token}", "/nowhere", "/static/style.css", "/health", "/admin"):
        headers = study.client().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert (
        "secure"
        in TestClient(study.app, base_url="https://testserver").get(f"/r/{token}").headers["set-cookie"].lower()
    )


def test_pages_need_no_other_host_and_no_inline_code(study: Study) -> None:
    client = study.rater()
    for path in ("/consent", "/instructions", "/task/0"):
        page = client.get(path).text
        assert not re.search(r"(src|href|action)=\"(https?:)?//", page)
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|javascript:", page)


@pytest.mark.parametrize(
    "changes",
    [
        {"valence": "10"},
        {"valence": "0"},
        {"arousal": "x"},
        {"category": "Robert'); DROP TABLE answers;--"},
        {"category": "<script>alert(1)</script>"},
        {"valence": ""},
        {"dominance": "3"},
    ],
)
def test_answers_out_of_range_are_refused_and_told(study: Study, changes: dict[str, str]) -> None:
    client = study.rater()
    reply = client.post("/task/0", data=form(client, 0, **changes))
    assert reply.status_code == 422
    assert "<script>alert" not in reply.text
    assert "Not saved yet" in reply.text
    assert study.rows() == 0
    # what was right stays filled in
    assert re.search(r'value="6" data-key="6"[^>]* checked', reply.text) or "arousal" in changes
    assert client.post("/task/0", data=form(client, 0)).headers["location"] == "/task/1"


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "delete"},
        {"action": ""},
        {"revision": "-1"},
        {"revision": "x"},
        {"revision": "9" * 30},
        {"csrf": ""},
        {"csrf": "0" * 32},
    ],
)
def test_tampered_bookkeeping(study: Study, changes: dict[str, str]) -> None:
    client = study.rater()
    assert client.post("/task/0", data=form(client, 0, **changes)).status_code in {400, 403}
    assert study.rows() == 0


def test_forms_of_another_rater_are_refused(study: Study) -> None:
    one, two = study.rater("r001"), study.rater("r002")
    reply = two.post("/task/0", data=form(one, 0))
    assert reply.status_code == 403
    assert "Nothing was saved" in reply.text
    assert study.rows() == 0


def test_bodies(study: Study) -> None:
    client = study.rater()
    good = form(client, 0)
    big = client.post("/task/0", data={**good, "category": "x" * MAX_BODY_BYTES})
    assert big.status_code == 413
    streamed = client.post(
        "/task/0",
        content=(b"x" * 4096 for _ in range(64)),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert streamed.status_code == 413
    upload = client.post("/task/0", data=good, files={"file": ("a.png", b"\x89PNG")})
    assert upload.status_code == 415
    assert client.post("/task/0", json=good).status_code == 415
    many = client.post(
        "/task/0",
        content="&".join(f"a{i}=1" for i in range(500)),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert many.status_code == 400
    twice = client.post(
        "/task/0", content="csrf=a&csrf=b", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert twice.status_code == 400
    binary = client.post(
        "/task/0", content=b"\xff\xfe=%ff", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert binary.status_code == 400
    assert study.rows() == 0
    assert client.post("/task/0", data=good).status_code == 303


@pytest.mark.parametrize(
    "path",
    [
        "../../study.yaml",
        "..%2f..%2fstudy.yaml",
        "%2e%2e/study.yaml",
        "/etc/passwd",
        "happy/000.png",
        "happy%2f000.png",
        "' OR 1=1 --",
        "0" * 32,
        "a\0b",
        "..\\study.yaml",
    ],
)
def test_only_images_of_the_session_can_be_asked_for(study: Study, tmp_path: Path, path: str) -> None:
    client = study.rater()
    for base in ("/image/", "/static/", "/prescreen/image/"):
        reply = client.get(base + (path if "%" in path else quote(path)))
        assert reply.status_code in {401, 404}
        assert "Taking part is voluntary" not in reply.text
        assert "root:" not in reply.text


def test_images_of_another_session_are_not_served(tmp_path: Path) -> None:
    made = Study(tmp_path, images={"folder": "images", "per_rater": 4}, repeats=0)
    client = made.rater()
    statuses = [client.get(f"/image/{item}").status_code for item in made.store.images]
    assert statuses.count(200) == 4 + 1 + 1
    assert set(statuses) == {200, 404}
    made.store.close()


def test_a_session_cannot_be_looked_through(study: Study) -> None:
    client = study.rater()
    for position in (1, 7, 15, 16, 10**5, 10**7, 10**30):
        assert client.get(f"/task/{position}").headers["location"] == "/"
        assert client.post(f"/task/{position}", data=form(client, 0)).status_code == 404
    assert client.get("/task/-1").status_code == 404
    assert client.get("/done").headers["location"] == "/"
    assert study.rows() == 0


def test_two_tabs(study: Study) -> None:
    client = study.rater()
    first, second = form(client, 0), form(client, 0, valence="1")
    assert client.post("/task/0", data=first).headers["location"] == "/task/1"
    assert client.post("/task/0", data=first).headers["location"] == "/task/1"  # the same again
    reply = client.post("/task/0", data=second)
    assert reply.status_code == 409
    assert "That answer was kept" in reply.text
    table = read_answers(study.store.path)
    assert list(table["valence"]) == [8]
    # going back on purpose changes it
    assert client.post("/task/0", data=form(client, 0, valence="1")).status_code == 303
    table = read_answers(study.store.path)
    assert list(table["valence"]) == [1]
    assert list(table["revision"]) == [2]


def test_skip_and_back(study: Study, tmp_path: Path) -> None:
    client = study.rater()
    assert (
        client.post(
            "/task/0", data={key: value for key, value in form(client, 0, action="skip").items() if key not in GOOD}
        ).headers["location"]
        == "/task/1"
    )
    assert 'href="/task/0"' in client.get("/task/1").text
    assert client.post("/task/0", data=form(client, 0)).headers["location"] == "/task/1"
    assert list(read_answers(study.store.path)["status"]) == ["answered"]

    (tmp_path / "strict").mkdir()
    strict = Study(tmp_path / "strict", allow_skip=False, allow_back=False)
    client = strict.rater()
    assert client.post("/task/0", data=form(client, 0, action="skip")).status_code == 400
    good = form(client, 0)
    assert client.post("/task/0", data=good).headers["location"] == "/task/1"
    assert client.post("/task/0", data=good).headers["location"] == "/task/1"
    assert client.post("/task/0", data={**good, "valence": "1", "revision": "1"}).status_code == 409
    assert client.get("/task/0").headers["location"] == "/"
    assert list(read_answers(strict.store.path)["valence"]) == [8]
    strict.store.close()


def test_a_database_that_cannot_be_written_gives_503(study: Study, tmp_path: Path) -> None:
    client = study.rater()
    good = form(client, 0)
    writer = study.store._writer._connection
    writer.execute("PRAGMA busy_timeout = 50")
    blocker = sqlite3.connect(tmp_path / "answers.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    reply = client.post("/task/0", data=good)
    assert reply.status_code == 503
    assert "still there" in reply.text
    blocker.execute("ROLLBACK")
    blocker.close()
    assert client.post("/task/0", data=good).status_code == 303
    assert study.rows() == 1


def test_a_new_consent_text_is_asked_again(tmp_path: Path) -> None:
    made = Study(tmp_path)
    client = made.rater()
    token = client.cookies["annotate-faces-rater"]
    client.post("/task/0", data=form(client, 0))
    made.store.close()
    again = Study(tmp_path, consent="Another text.", version="2")
    client = again.client()
    client.cookies.set("annotate-faces-rater", token)
    assert client.get("/task/1").headers["location"] == "/consent"
    page = client.get("/consent").text
    assert "Another text." in page
    client.post("/consent", data={"csrf": hidden(page, "csrf"), "agree": "yes"})
    assert client.get("/").headers["location"] == "/task/1"
    again.store.close()


def test_texts_of_the_study_are_escaped(tmp_path: Path) -> None:
    made = Study(tmp_path, title="<b>T</b>", consent="<script>alert(1)</script>\n\n- <i>x</i>")
    page = made.rater(consent=False).get("/consent").text
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;T" in page
    made.store.close()


def test_admin_page_shows_progress_and_exports(study: Study) -> None:
    client = study.rater()
    for position in range(16):
        client.post(f"/task/{position}", data=form(client, position))
    study.store.add_raters(["idle"])
    admin = study.staff("admin")
    page = admin.get("/admin").text
    row = re.sub(r"<[^>]+>|\s+", " ", page[page.index(">r001<") : page.index(">idle<")])
    assert re.search(r"done +15 +0 +0\.9 +1\.00 +1\.00 +2 +1\.00 +0\.0 +0\.0", row), row
    assert "not begun" in page
    download = admin.get("/admin/answers.csv")
    assert download.headers["content-disposition"] == 'attachment; filename="faces-1.csv"'
    assert len(download.text.splitlines()) == 17
    assert admin.get("/admin/answers.parquet").content[:4] == b"PAR1"


def test_prescreening(study: Study) -> None:
    client = study.staff("screener")
    assert "happy" in client.get("/prescreen").text
    page = client.get("/prescreen/0").text
    items = [entry["id"] for entry in client.get("/prescreen/0/batch?from=0").json()["items"]]
    assert len(items) == 3
    assert client.get(f"/prescreen/image/{items[1]}").status_code == 200
    csrf = hidden(page, "csrf")

    def mark(item: str, **changes: str) -> int:
        return client.post(
            "/prescreen/0/mark", data={"csrf": csrf, "item": item, "at": "1", "chosen": "yes", **changes}
        ).status_code

    assert [mark(item) for item in items] == [303, 303, 409]
    assert mark(items[0], csrf="x") == 403
    assert mark("0" * 32) == 400
    assert mark(items[0], chosen="perhaps") == 400
    assert client.get("/prescreen/99").status_code == 404
    assert client.get("/prescreen/0/batch?from=zzz").json()["from"] == 0
    client.get("/prescreen/0?at=2")
    assert 'Image <span id="place">3</span>' in client.get("/prescreen/0").text  # a reload goes on where it was


def test_without_a_prescreen_key_there_is_no_prescreening(tmp_path: Path) -> None:
    made = Study(tmp_path)
    token = made.store.new_staff_token("screener")
    assert made.client().get(f"/prescreen/enter/{token}").status_code == 404
    assert made.client().get("/prescreen").status_code == 404
    made.store.close()


def test_the_findingemo_form(tmp_path: Path) -> None:
    full = {
        "categories": [],
        "decision": True,
        "wheel": True,
        "ambiguity": True,
        "deciding_factors": ["staging"],
        "age_groups": ["adults"],
    }
    made = Study(
        tmp_path, form=full, catch=[{"image": "extra/laughing.png", "expect": {"decision": "keep", "wheel": ["joy"]}}]
    )
    client = made.rater()
    page = client.get("/task/0").text
    data = {
        "csrf": hidden(page, "csrf"),
        "revision": "0",
        "response_ms": "",
        "action": "save",
        "decision": "keep",
        "wheel": "ecstasy",
        "valence": "8",
        "arousal": "7",
    }
    incomplete = client.post("/task/0", data=data)
    assert incomplete.status_code == 422
    assert incomplete.text.count("Please choose") == 3
    assert (
        client.post(
            "/task/0", data={**data, "ambiguity": "0", "deciding_factors": "staging", "age_groups": "adults"}
        ).status_code
        == 303
    )
    row = read_answers(made.store.path).iloc[0]
    assert (row["wheel"], row["wheel_leaf"], row["ambiguity"], row["deciding_factors"]) == (
        "ecstasy",
        "joy",
        0,
        "staging",
    )
    assert str(row["response_ms"]) == "<NA>"
    made.store.close()
