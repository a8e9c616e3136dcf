"""What the site holds: the same bytes each time, whole links, nothing from elsewhere, nothing that a name breaks."""

from __future__ import annotations

import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pandas as pd
import pytest

from fer_bench.assignments import parse_assignments
from fer_bench.errors import RecordError, SpecError
from fer_bench.layering import layered
from fer_bench.leaderboard.export import export
from fer_bench.results.store import Store
from fer_bench.site import addresses
from fer_bench.site.badge import badge
from fer_bench.site.build import MANIFEST, build_site
from fer_bench.site.repeat import command, from_settings
from fer_bench.spec import RunSpec, build
from tests.site.conftest import given

ROOT = Path(__file__).parents[2]
LOADING = {("script", "src"), ("link", "href"), ("img", "src")}


class Page(HTMLParser):
    """Elements and addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.addresses, self.attributes, self.ids = set(), [], set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "data"):
                self.addresses.append((tag, name, value))
            if name == "id":
                self.ids.add(value)


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_built_twice_it_is_the_same_to_the_byte(store, site, tmp_path):
    again = build_site(Store(store.root), tmp_path / "again", docs="docs/")
    assert content(tmp_path / "again") == content(site)
    assert (again.files, again.changed) == (len(content(site)), again.files - 1)
    assert again.size == sum(map(len, content(site).values()))


def test_a_second_build_writes_what_changed_and_removes_what_is_gone(store, site, tmp_path):
    out = Path(shutil.copytree(site, tmp_path / "out"))
    before = content(out)
    (out / "index.html").write_text("old")
    (out / "gone.html").write_text("old")
    (out / "kept.html").write_text("a stranger's")
    (out / MANIFEST).write_text((out / MANIFEST).read_text() + "gone.html\n../outside\n/etc/hostname\n")
    (tmp_path / "outside").write_text("not of the site")
    assert build_site(store, out, docs="docs/").changed == 1
    assert content(out) == before | {"kept.html": b"a stranger's"}
    assert (tmp_path / "outside").exists()


def test_no_folder_of_others_and_nothing_without_records(store, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SpecError, match="holds no site"):
        build_site(store, tmp_path)
    with pytest.raises(RecordError, match="nothing to show"):
        build_site(Store(tmp_path / "none"), tmp_path / "new")


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        for tag, name, address in page.addresses:
            parts = urlsplit(address)
            if (tag, name) in LOADING or not parts.scheme:
                assert not parts.scheme, (path, address)
                assert not parts.netloc, (path, address)
            else:
                assert parts.scheme in ("http", "https"), (path, address)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file() or target.is_relative_to((site / "docs").resolve()), (path, address)
            if parts.fragment and target.suffix == ".html":
                assert parts.fragment in pages[site / target.relative_to(site.resolve())].ids, (path, address)


def test_names_stay_text(pages):
    for path, page in pages.items():
        assert "b" not in page.tags, path
        assert not {name for name in page.attributes if name.startswith("on")}, path
        text = path.read_text(encoding="utf-8")
        assert "\u202e" not in text
        assert "49" not in re.findall(r"'(\d+)' ", text)
        assert "javascript:" not in " ".join(address or "" for *_, address in page.addresses)
    assert any("\\u202e" in path.read_text(encoding="utf-8") for path in pages)


def test_scripts_of_data_are_ascii(site):
    for path in [*(site / "boards").glob("*.js"), *(site / "rows").rglob("*.js")]:
        assert path.read_bytes().isascii()
        text = path.read_text()
        assert "\\u202e" not in text.replace("\\\\u202e", "")
        assert "\\u2028" not in text.replace("\\\\u2028", "")


def test_boards_are_files_as_the_command_line_writes_them(store, site):
    for ending, kind in (("csv", "csv"), ("json", "json"), ("parquet", "parquet"), ("tex", "latex"), ("bib", "bibtex")):
        assert (site / f"boards/toy-fer7.{ending}").read_bytes() == export(store, "toy-fer7", kind)
    assert len(pd.read_parquet(site / "boards/toy-fer7.parquet")) == 8


def test_records_and_predictions_are_there_as_they_are_stored(store, site):
    for record in store.records():
        for name in (f"{record.run_id}.json", record.predictions["test"].file):
            path = store.folder(record) / name
            assert (site / path.relative_to(store.root)).read_bytes() == path.read_bytes()


def test_a_board_says_what_rows_are_filtered_by(site):
    board = given(site / "boards/toy-fer7.js")
    rows = {row["model"]: row for row in board["rows"] if row["model"] != "alpha"}
    assert [row["kind"] for row in rows.values()] == ["ensemble", "human", "single", "external", "views", "single"]
    assert rows["beta"]["pretraining"] == "ImageNet"
    assert rows["from outside"]["pretraining"] == "AffectNet"
    assert rows["people"]["rank"] is None
    three = next(row for row in board["rows"] if "three seeds" in row["name"])
    assert (three["year"], three["seeds"], len(three["each"])) == (2025, 3, 3)
    assert three["text"] == "70.0\u00a0±\u00a0" + three["text"][-3:]
    assert three["numbers"]["clean/accuracy"] > 0
    assert [claim["pretraining"] for claim in board["claims"]] == ["", "faces"]


def test_pages_say_what_is_known(site):
    page = (site / addresses.row(_row("alpha", "a"))).read_text(encoding="utf-8")
    for said in ("Confusion matrix", "hardest test samples", "(3 seeds)", "a-s2.json"):
        assert said in page
    assert "(one seed)" in (site / addresses.row(_row("beta", "c"))).read_text(encoding="utf-8")
    paper = next(path for path in (site / "papers").iterdir() if path.name != "index.html").read_text(encoding="utf-8")
    assert "reproduced lower" in paper
    assert "same network" in paper
    dataset = (site / "datasets/toy.html").read_text(encoding="utf-8")
    assert "40 of 400 test samples" in dataset
    assert 'href="../boards/toy-fer7.html">the board' in dataset
    assert "secret" not in dataset


class _row:
    def __init__(self, model, key):
        self.model, self.key, self.records = model, key, [self]
        self.protocol = "toy-fer7"


@pytest.mark.parametrize(
    "text", ["vgg13_bn-1a2b", "timm:x", "a/b", "../x", "", ".", "Net", "net", "x" * 300, "é", "\udcff", "a b", "con."]
)
def test_addresses_are_plain_and_apart(text):
    found = addresses.slug(text)
    assert re.fullmatch(r"[a-z0-9_+-][a-z0-9._+-]{0,119}", found)
    others = ["net", "Net", "a/b", "a-b", "a b", "x" * 300, "x" * 301]
    assert len({addresses.slug(other) for other in others}) == len(others)


def test_the_same_settings_on_another_copy_have_another_page():
    found = _row("alpha", "a")
    assert addresses.row(found) == "rows/toy-fer7/alpha-a.html"
    assert addresses.row(found, "svg", "5cf05e97") == "rows/toy-fer7/alpha-a-5cf05e97.svg"


def test_costs_are_columns_and_what_was_trained_again_is_marked(site):
    board = given(site / "boards" / "toy-fer7.js")
    row = next(row for row in board["rows"] if row["model"] == "beta")
    columns = {column["key"]: column for column in board["columns"] if column["cost"]}
    assert (row["numbers"]["macs"], row["numbers"]["parameters"]) == (60.0, 1.25)
    assert [columns[f"latency_{i}"]["title"] for i in (0, 1)] == [
        f"Latency (ms), {name}, 1 thread, 32-true" for name in ("Other CPU", "Some <i>CPU</i>")
    ]
    assert sorted(row["numbers"][f"latency_{i}"] for i in (0, 1)) == [2.5, 3.5]
    assert (row["numbers"]["throughput_0"], row["numbers"]["memory_1"]) == (400, 120.5)
    assert not any(columns[key]["shown"] for key in columns if key != "parameters")
    # A row of ten views was not timed with them, and nobody trained it again.
    assert not {"latency_0", "macs"} & next(one for one in board["rows"] if one["model"] == "gamma")["numbers"].keys()
    assert [one["model"] for one in board["rows"] if "again" in one] == ["beta"]
    said = "trained again: the same, bit for bit"
    assert row["again"] == [said]
    (page,) = (site / "rows" / "toy-fer7").glob("beta-c*.html")
    text = page.read_text()
    assert said in text
    assert "fer-bench reproduce c-s0" in text


def test_a_badge_is_a_picture():
    root = ElementTree.fromstring(badge("<b>&\x00" + "x" * 200, 'a "quoted" 73.1 %'))
    assert root.get("aria-label").startswith("<b>&\\u0000xxx")
    assert len(root.findall(".//{*}text")) == 2


def test_commands_repeat_the_committed_rows():
    """Of some trained records, read as the command line reads them; what flags cannot say is reproduced."""
    exact = 0
    for record in Store(ROOT / "leaderboards").records("fer2013-fer7"):
        if record.kind != "trained" or not record.model.startswith("vgg1"):
            continue
        assert command(record) == f"fer-bench reproduce {record.run_id}"
        words = shlex.split(from_settings(record))
        if not words:
            continue
        flags = {words[i].removeprefix("--"): words[i + 1] for i in range(2, len(words), 2) if words[i] != "--set"}
        sets = [words[i + 1] for i in range(2, len(words), 2) if words[i] == "--set"]
        given = parse_assignments([*(f"{name}={value}" for name, value in flags.items()), *sets], RunSpec)
        spec = build(layered(given))
        assert f"{spec.digest()}-s{spec.seed}" == record.run_id
        exact += 1
    assert exact > 5
