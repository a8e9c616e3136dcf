"""The app in a real browser. Needs an installed Chromium and playwright; FER_BENCH_CHROMIUM names another than
/usr/bin/chromium."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fer_bench.annotate.export import read_answers
from fer_bench.annotate.links import rater_links, staff_link
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import load_study

from .fakes import write_study

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
uvicorn = pytest.importorskip("uvicorn")
CHROMIUM = os.environ.get("FER_BENCH_CHROMIUM", "/usr/bin/chromium")
if not Path(CHROMIUM).exists():
    pytest.skip(f"no Chromium at {CHROMIUM}", allow_module_level=True)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


class Site:
    """A served study: four faces, one of them twice, one to practise on and one to catch with."""

    def __init__(self, folder: Path, **changes: object) -> None:
        from fer_bench.annotate.server import create_app

        study = write_study(folder, **{"per_class": 1, "repeats": 1, **changes})  # type: ignore[arg-type]
        self.store = AnswerStore(load_study(study), folder / "answers.sqlite3")
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(create_app(self.store.study, self.store), log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)

    def begin(self, page: Any) -> None:
        """From the link to the first picture."""
        page.goto(rater_links(self.store, self.url, ["r001"])[0].url)
        page.click("text=Start")
        page.check("input[name=agree]")
        page.click("button")
        page.click("text=Begin")
        page.wait_for_url("**/task/0")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    problems: list[str] = []
    hosts: set[str] = set()
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console", lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None
    )
    opened.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    yield opened
    context.close()
    assert problems == []
    assert hosts == {"127.0.0.1"}  # nothing from elsewhere is loaded


def test_a_session_by_keyboard_with_a_reload(tmp_path: Path, page: Any) -> None:
    site = Site(tmp_path)
    site.begin(page)
    for position in range(7):
        page.wait_for_url(f"**/task/{position}")
        page.keyboard.press("2")
        page.keyboard.press("7")
        if position == 5:
            page.reload()  # in the middle of an answer
            assert page.is_checked("input[name=category][value=happy]")
            assert page.is_checked("input[name=valence][value='7']")
        if position == 6:
            page.keyboard.press("Enter")  # incomplete: told, not sent
            assert "marked question" in page.inner_text("#message")
        page.keyboard.press(str(9 - position))
        page.keyboard.press("Enter")
    page.wait_for_url("**/done")
    table = read_answers(site.store.path)
    assert len(table) == 7
    assert set(table["category"]) == {"happy"}
    assert set(table["valence"]) == {7}
    assert [int(value) for value in table["arousal"]] == list(range(9, 2, -1))
    assert (table["response_ms"] > 0).all()
    assert (table["server_ms"] > 0).all()
    site.stop()


def test_mouse_skip_back_and_two_tabs(tmp_path: Path, page: Any) -> None:
    site = Site(tmp_path)
    site.begin(page)
    other = page.context.new_page()
    other.goto(f"{site.url}/task/0")
    for tab, valence in ((page, 9), (other, 1)):
        tab.click("label.choice:has-text('sad')")
        tab.click(f"label.manikin:has(input[name=valence][value='{valence}'])")
        tab.click("label.manikin:has(input[name=arousal][value='4'])")
        tab.click("#save")
    page.wait_for_url("**/task/1")
    other.wait_for_selector("text=Already answered")
    page.click("#skip")
    page.wait_for_url("**/task/2")
    page.click("#back")
    page.wait_for_url("**/task/1")
    page.keyboard.press("b")
    page.wait_for_url("**/task/0")
    assert page.is_checked("input[name=valence][value='9']")
    table = read_answers(site.store.path)
    assert list(table["status"]) == ["answered", "skipped"]
    assert table.loc[0, "valence"] == 9
    site.stop()


def test_the_full_form_by_keyboard(tmp_path: Path, page: Any) -> None:
    full = {
        "categories": [],
        "decision": True,
        "wheel": True,
        "ambiguity": True,
        "deciding_factors": ["neutral", "staging"],
        "age_groups": ["children", "adults"],
    }
    site = Site(tmp_path, form=full, catch=None)
    site.begin(page)
    for key in "1" + "53" + "2" + "3" + "4":  # keep; leaf 5, third ring; valence, arousal, ambiguity
        page.keyboard.press(key)
    page.keyboard.press("2")
    page.keyboard.press("Enter")  # several may be ticked, so Enter goes to what is missing
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/task/1")
    page.keyboard.press("2")  # reject: nothing else is asked
    assert not page.is_visible("fieldset[data-question=wheel]")
    assert page.is_visible("fieldset[data-question=reject_reasons]")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    page.wait_for_url("**/task/2")
    page.click(".choice:has-text('keep')")
    page.click(".wheel .cell[data-value=rage] path")
    assert page.is_checked("input[name=wheel][value=rage]")
    table = read_answers(site.store.path)
    first = table.iloc[0]
    assert (first["wheel"], first["wheel_leaf"], first["valence"], first["arousal"], first["ambiguity"]) == (
        "pensiveness",
        "sadness",
        2,
        3,
        4,
    )
    assert (first["deciding_factors"], first["age_groups"]) == ("staging", "children")
    assert (table.loc[1, "decision"], table.loc[1, "reject_reasons"]) == ("reject", "text")
    site.stop()


def test_the_findingemo_form_by_keyboard_and_on_a_phone(tmp_path: Path, page: Any) -> None:
    site = Site(tmp_path, form="findingemo", catch=None)
    site.begin(page)
    for key in "1" + "11" + "1" + "0" + "6":  # keep; ecstasy; -3, 0, 6
        page.keyboard.press(key)
    for key in "4", "Enter", "3", "Enter":  # context; young adults; tags may be left out
        page.keyboard.press(key)
    page.wait_for_url("**/task/1")
    page.set_viewport_size({"width": 360, "height": 740})
    page.reload()
    page.click(".choice:has-text('reject')")
    assert not page.is_visible("fieldset[data-question=wheel]")
    page.click(".q-tags .choice:has-text('watermark')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click("#save")
    page.wait_for_url("**/task/2")
    page.click(".choice:has-text('keep')")
    page.click(".q-valence .choice:has-text('+3')")
    page.click(".q-arousal label.choice:has(input[value='6'])")
    assert page.is_checked("input[name=valence][value='3']")
    assert page.is_checked("input[name=arousal][value='6']")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    first, second = read_answers(site.store.path).to_dict("records")
    assert [first[name] for name in ("wheel", "valence", "arousal", "ambiguity")] == ["ecstasy", -3, 0, 6]
    assert (first["deciding_factors"], first["age_groups"], first["tags"]) == ("context", "young adults", "")
    assert (second["decision"], second["tags"]) == ("reject", "watermark")
    site.stop()


def test_without_scripts_and_on_a_phone(tmp_path: Path, browser: Any) -> None:
    site = Site(tmp_path)
    context = browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    tab = context.new_page()
    tab.set_default_timeout(15_000)
    site.begin(tab)
    tab.click("#save")
    tab.wait_for_selector("text=Not saved yet")
    for name, value in (("category", "fear"), ("valence", "2"), ("arousal", "8")):
        tab.check(f"input[name={name}][value='{value}']")
    tab.click("#save")
    tab.wait_for_url("**/task/1")
    context.close()
    assert list(read_answers(site.store.path)["category"]) == ["fear"]
    phone = browser.new_context(viewport={"width": 360, "height": 740})
    tab = phone.new_page()
    tab.goto(f"{site.url}/r/{site.store.renew_rater('r001')}")
    tab.click("a.button")
    tab.wait_for_url("**/task/1")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    phone.close()
    site.stop()


def test_prescreening_by_keyboard(tmp_path: Path, page: Any) -> None:
    site = Site(tmp_path, per_class=3, prescreen={"per_class": 2})
    page.goto(staff_link(site.store, site.url, "screener").url)
    page.click("a.button")
    page.click("tbody a >> nth=0")
    for count in ("1", "2"):
        page.wait_for_load_state("networkidle")
        page.keyboard.press("m")
        page.wait_for_selector(f"#chosen:text-is('{count}')")
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#place:text-is('3')")
    page.keyboard.press("m")
    page.wait_for_selector("#problem:has-text('chosen already')")
    page.reload()
    assert page.inner_text("#place") == "3"
    assert len(site.store.marks()) == 2
    site.stop()
