import base64
import io
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fer_bench.ensembles.build import build_ensemble
from fer_bench.ensembles.human_baseline import TaggedSplit, build_human_rows
from fer_bench.errors import FerBenchError, RecordError
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.report import figures
from fer_bench.report.page import report
from fer_bench.results.store import Store
from tests.ensembles.stored import PROTOCOL, member, predictions

FIGURES = {
    "learning_curves",
    "confusion_validation",
    "confusion_test",
    "per_class",
    "reliability_validation",
    "reliability_test",
}
CURVES = {
    "train/loss": [1.9, 1.2, 0.9],
    "validation/loss": [1.8, 1.3, None],
    "train/accuracy": [0.2, 0.4, 0.6],
    "validation/accuracy": [0.25, 0.4, 0.45],
    "lr": [0.1, 0.1, 0.01],
}


class Page(HTMLParser):
    """What a page refers to, and what it says."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.alt, self.ids, self.tags = [], [], [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.sources += [values["src"]] if "src" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.alt += [values["alt"]] if "alt" in values else []
        self.ids |= {values["id"]} if "id" in values else set()


def check_self_contained(path):
    text = path.read_text()
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert "//" not in text.replace("</", "").split("base64,")[0]
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    assert "url(" not in text
    assert "@import" not in text
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.alt) == len(page.sources)
    embedded = [base64.b64decode(source.split(",")[1]) for source in page.sources]
    for content in embedded:
        assert Image.open(io.BytesIO(content)).size[0] > 300
    # Every file beside the page is one of its images, and the other way round.
    assert sorted(embedded) == sorted(file.read_bytes() for file in path.parent.glob("*.png"))
    return text


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "boards")
    for seed in range(2):
        training = {
            "curves": {name: values[: 3 - seed] for name, values in CURVES.items()},
            "epochs": 3 - seed,
            "best_epoch": 2,
        }
        made.put(*member(seed, 1.0, model="five_layer_cnn", row="r", training=training, recipe="<b>bold</b>"))
    return made


@pytest.mark.draws
def test_a_run(store, tmp_path):
    page = report(store, "r0-s0", tmp_path / "out")
    text = check_self_contained(page)
    assert {file.stem for file in page.parent.glob("*.png")} == FIGURES
    assert "mean of 2 seeds" in text
    assert "<b>bold" not in text
    assert f"{100 * store.get('r0-s0').metrics['accuracy']:.2f} %" in text
    first = {file.name: file.read_bytes() for file in page.parent.iterdir()}
    again = report(store, "r0-s0", tmp_path / "again")
    assert {file.name: file.read_bytes() for file in again.parent.iterdir()} == first


def test_a_protocol_with_an_ensemble(store, tmp_path):
    ensemble = build_ensemble(store, PROTOCOL, rule="majority")
    page = report(store, PROTOCOL.name, tmp_path / "out")
    text = check_self_contained(page)
    ours = {f"{ensemble.row}-{name}" for name in (FIGURES - {"learning_curves"}) | {"members"}}
    assert {file.stem for file in page.parent.glob("*.png")} == {"rows"} | {f"r-{name}" for name in FIGURES} | ours
    assert "five_layer_cnn/r1-s1" in text
    shorter = report(store, PROTOCOL.name, tmp_path / "short", most_rows=1).read_text()
    assert "1 more row is not shown" in shorter


def test_people_and_rows_without_an_answer(tmp_path):
    store, protocol = Store(tmp_path / "boards"), Protocol("toyplus", TASKS["fer8"])
    votes = np.random.default_rng(0).multinomial(6, [0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.02, 0.05, 0.03], size=40)
    top = votes.argmax(axis=1)
    split = TaggedSplit(np.arange(40).astype(str), votes, np.where(top < 8, top, -1))
    records = build_human_rows(store, protocol, {"validation": split, "test": split}, {"checksums": {"test": "c"}})
    page = report(store, records[0].run_id, tmp_path / "out")
    text = check_self_contained(page)
    assert "Agreement of people" in text
    assert {file.stem for file in page.parent.glob("*.png")} == {"confusion_validation", "confusion_test", "per_class"}


def test_what_cannot_be_reported(store, tmp_path):
    store.put(*member(5, status="nan", message="the loss became NaN"))
    with pytest.raises(RecordError, match="status nan"):
        report(store, "r5-s5", tmp_path / "out")
    with pytest.raises(RecordError, match="no record"):
        report(store, "nothing", tmp_path / "out")
    with pytest.raises(RecordError, match="has no finished run"):
        report(store, "fer2013-fer7", tmp_path / "out")
    (store.folder(store.get("r0-s0")) / "r0-s0.test.npz").unlink()
    with pytest.raises(RecordError, match="missing"):
        report(store, "r0-s0", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match="cannot be written"):
        report(store, "r1-s1", tmp_path / "file" / "deeper")


@pytest.mark.draws
def test_curves_of_runs_that_stopped_early_and_of_none():
    assert figures.learning_curves([], []) is None
    assert figures.learning_curves([{"lr": [0.1]}], [1]) is None
    assert figures.learning_curves([CURVES, {"train/loss": [1.0]}], [2, None]).startswith(b"\x89PNG")


@pytest.mark.draws
def test_many_classes_and_a_class_that_never_occurs():
    matrix = np.diag(np.arange(12))
    assert Image.open(io.BytesIO(figures.confusion(matrix, [f"class {i}" for i in range(12)], "test"))).size[0] > 1000
    unanswered = np.concatenate([np.eye(3, dtype=int), np.array([[0], [2], [0]])], axis=1)
    wider = Image.open(io.BytesIO(figures.confusion(unanswered, list("abc"), "test")))
    assert wider.size == Image.open(io.BytesIO(figures.confusion(np.eye(3), list("abc"), "test"))).size
    assert figures.per_class_f1([matrix], [f"class {i}" for i in range(12)], "test").startswith(b"\x89PNG")
    p = predictions(0)
    outputs = p.outputs.copy()
    outputs[3] = np.nan
    assert figures.reliability_diagram(p.targets, Predictions(p.ids, p.targets, outputs).outputs, "test").startswith(
        b"\x89PNG"
    )


def test_reports_and_ensembles_need_no_torch():
    code = (
        "import sys; import fer_bench.report.page, fer_bench.ensembles.build, fer_bench.ensembles.human_baseline,"
        " fer_bench.ensembles.recompute, fer_bench.cli.ensemble, fer_bench.cli.report; sys.exit('torch' in sys.modules"
        " or 'lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
