"""Whatever a record, a grid or a predictions file holds, it is one difference of that record; the others are verified,
within bounded memory."""

import hashlib
import io
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fer_bench.errors import FerBenchError, RecordError
from fer_bench.leaderboard.verify import verify
from fer_bench.predictions import Predictions
from fer_bench.protocols import TASKS, Protocol
from fer_bench.results.grids import StackedPredictions
from fer_bench.results.record import pack_outcomes
from fer_bench.results.store import Store
from fer_bench.scoring.score import correct, score
from tests.leaderboard.fake_records import N, put, record, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("whole"))
    put(made, run(0.70, row="aaa"), run(0.72, row="bbb"), run(0.74, row="ccc"))
    return made


@pytest.fixture
def store(whole, tmp_path):
    """Three records, copied to where a test may damage them."""
    return Store(shutil.copytree(whole.root, tmp_path / "leaderboards"))


def only_differences_of(store, path, n_verified):
    report = verify(store)
    assert report.differences
    assert {str(difference.file).partition("#")[0] for difference in report.differences} == {str(path)}
    assert report.n_verified == n_verified
    for difference in report.differences:
        assert str(difference).isprintable()
        assert len(str(difference)) < 3000
    return report.differences


def header(descr, shape):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def member(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


GOOD = run(0.72, row="bbb")[1]["test"]


def archive(compression=zipfile.ZIP_DEFLATED, extra=(), **members):
    columns = {"ids": member(GOOD.ids), "targets": member(GOOD.targets), "outputs": member(GOOD.outputs)} | members
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, content in [*columns.items(), *extra]:
            made.writestr(f"{name}.npy" if "." not in name else name, content)
    return buffer.getvalue()


def replaced(name, at, value):
    column = getattr(GOOD, name).copy()
    column[at] = value
    return member(column)


def with_sizes(content, size):
    """The archive with another unpacked size of its last member in the list of contents."""
    at = content.rindex(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", size) + content[at + 28 :]


ARCHIVES = {
    "terabytes": lambda: archive(outputs=header("<f4", (10**9, 10**6))),
    "more than a machine's integers": lambda: archive(outputs=header("<f4", (10**30, 7))),
    "negative": lambda: archive(outputs=header("<f4", (-400, -7))),
    "as many as fit a file of zeros": lambda: archive(
        outputs=header("<f4", (N, 400_000)) + bytes(N * 400_000 * 4 // 8)
    ),
    "a bomb": lambda: archive(outputs=header("<f4", (N, 50_000)) + bytes(N * 50_000 * 4)),
    "a size that is not true": lambda: with_sizes(archive(), 2**32 - 2),
    "types without a size": lambda: archive(ids=header("<U0", (N,))),
    "objects": lambda: archive(ids=member(np.array([print] * N, dtype=object))),
    "fields": lambda: archive(targets=member(np.zeros(N, dtype=[("a", "i8"), ("b", "f8")]))),
    "double precision": lambda: archive(outputs=member(GOOD.outputs.astype(np.float64))),
    "the other byte order": lambda: archive(outputs=member(GOOD.outputs.astype(">f4"))),
    "complex": lambda: archive(targets=member(GOOD.targets.astype(np.complex128))),
    "text as targets": lambda: archive(targets=member(GOOD.ids)),
    "bytes as ids": lambda: archive(ids=member(GOOD.ids.astype(np.bytes_))),
    "infinite": lambda: archive(outputs=replaced("outputs", 5, np.inf)),
    "partly unanswered": lambda: archive(outputs=replaced("outputs", (5, 2), np.nan)),
    "no probabilities": lambda: archive(outputs=replaced("outputs", 5, 2e30)),
    "no class": lambda: archive(targets=replaced("targets", 5, 2**62)),
    "targets that are not finite": lambda: archive(targets=member(np.full(N, np.nan))),
    "half a surrogate pair": lambda: archive(ids=replaced("ids", 5, "\ud800")),
    "no character": lambda: archive(ids=header(f"<U{GOOD.ids.dtype.itemsize // 4}", (N,)) + b"\xff" * GOOD.ids.nbytes),
    "an id twice": lambda: archive(ids=replaced("ids", 5, GOOD.ids[4])),
    "other rows": lambda: archive(targets=member(GOOD.targets[1:])),
    "other rows everywhere": lambda: GOOD.select(np.arange(N - 1)).to_bytes(),
    "a scalar": lambda: archive(ids=member(np.array("a"))),
    "flags of numbers": lambda: archive(flag_duplicate=member(np.zeros(N))),
    "an unknown column": lambda: archive(more=member(np.zeros(N))),
    "no array": lambda: archive(extra=[("../../evil.txt", b"hello")]),
    "a member twice": lambda: archive(extra=[("outputs", member(GOOD.outputs))]),
    "another compression": lambda: archive(compression=zipfile.ZIP_LZMA),
    "many members": lambda: archive(extra=[(f"flag_{i}", member(np.ones(N, dtype=bool))) for i in range(5000)]),
    "a version of the format to come": lambda: archive(
        outputs=b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + bytes(100)
    ),
    "code as a header": lambda: archive(outputs=b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 8999 + b"\n"),
    "a grid's": lambda: StackedPredictions(GOOD, GOOD.outputs[None].astype(np.float16)).to_bytes(),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("what", ARCHIVES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_predictions_that_somebody_made_up(store, what):
    content = ARCHIVES[what]()
    found = store.get("bbb-s0")
    (store.folder(found) / found.predictions["test"].file).write_bytes(content)
    path = store.path(found.protocol, found.model, found.run_id)
    text = json.loads(path.read_text())
    text["predictions"]["test"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(text))
    only_differences_of(store, path, 3)


def test_a_claim_of_terabytes_takes_no_memory(store, tmp_path):
    found = store.get("bbb-s0")
    path = store.folder(found) / found.predictions["test"].file
    path.write_bytes(archive(outputs=header("<f4", (2**28, 2**10))))
    with path.with_name("bbb-s0.sparse.npz").open("wb") as file:
        file.truncate(2**42)
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)\nfrom pathlib import Path; from"
        " fer_bench.predictions import Predictions; from fer_bench.errors import RecordError\nfor name in ('test',"
        f" 'sparse'):\n    try: Predictions.load(Path({str(path.parent)!r}) / f'bbb-s0.{{name}}.npz')\n    except"
        " RecordError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "does not fit the" in done.stdout
    assert "larger than 1024 MiB" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 3 * 2**30


def entry(**over):
    return lambda text: text["predictions"]["test"].update(over)


def changed(**over):
    return lambda text: text.update(over)


RECORDS = {
    "a file outside": entry(file="../net/aaa-s0.test.npz"),
    "a file at the root": entry(file="/etc/passwd"),
    "a file with a backslash": entry(file="..\\x.npz"),
    "a file with NUL": entry(file="a\0.npz"),
    "a hidden file": entry(file=".ssh"),
    "no file": entry(file=""),
    "a folder": entry(file="."),
    "the record of another": entry(file="aaa-s0.json"),
    "a digest of another kind": entry(sha256="0" * 40),
    "rows below none": entry(n=-1),
    "rows beyond all": entry(n=10**30),
    "a head": entry(head=3),
    "a run elsewhere": changed(run_id="../../x"),
    "a protocol elsewhere": changed(protocol="../x"),
    "a model elsewhere": changed(model=".."),
    "another model": changed(model="other"),
    "text where a mapping belongs": changed(data={"checksums": "all"}),
    "a list as a checksum": changed(data={"checksums": {"test": [1]}}),
    "training as it never was": changed(training={"on_train": [1, 2]}),
    "bits of nothing": changed(training={"on_train": {"outcomes": "", "n": -5, "accuracy": 1.0}}),
    "an ensemble without members": changed(kind="ensemble"),
    "an ensemble of files elsewhere": changed(
        kind="ensemble",
        spec={"rule": "soft"},
        training={"members": [{"model": "..", "run_id": "../../x", "weight": 1, "sha256": {}}]},
    ),
    "metrics as text": changed(metrics={"accuracy": "\x1b[2J\n", "confusion": "x"}),
    "integers beyond floats": lambda text: text["metrics"].update(accuracy=10**400),
    "scored below none": changed(n_scored=-3),
    "a fold that is none": changed(outcomes="?" * 10**6),
}


@pytest.mark.parametrize("what", RECORDS)
def test_records_that_somebody_altered(store, what):
    path = store.path("toy-fer7", "net", "bbb-s0")
    text = json.loads(path.read_text())
    RECORDS[what](text)
    path.write_text(json.dumps(text))
    report = verify(store)
    only_differences_of(store, path, report.n_verified)
    assert report.n_verified >= 2


TEXTS = {
    "deep": lambda text: b"[" * 100_000,
    "deep inside": lambda text: text.replace(
        b'"hardware":', b'"hardware": {"a": ' + b"[" * 500 + b"]" * 500 + b'}, "x":', 1
    ),
    "beyond floats": lambda text: text.replace(b'"accuracy":', b'"accuracy": 1e400, "x":', 1),
    "not a number": lambda text: text.replace(b'"accuracy":', b'"accuracy": NaN, "x":', 1),
    "infinite somewhere": lambda text: text.replace(b'"epochs":', b'"epochs": -Infinity, "x":', 1),
    "beyond floats somewhere": lambda text: text.replace(b'"epochs":', b'"epochs": 1e999, "x":', 1),
    "5,000 digits": lambda text: text.replace(b'"epochs":', b'"epochs": ' + b"1" * 5000 + b', "x":', 1),
    "a key twice": lambda text: text.replace(b'"epochs":', b'"epochs": 9, "epochs":', 1),
    "not UTF-8": lambda text: text.replace(b'"epochs":', b'"\xff\xfe":', 1),
    "half a surrogate pair": lambda text: text.replace(b'"epochs":', b'"\\ud800":', 1),
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "a list": lambda text: b"[]",
    "null": lambda text: b"null",
    "empty": lambda text: b"",
    "half": lambda text: text[: len(text) // 2],
    "more than it takes": lambda text: text + b" " * 2**25,
}


@pytest.mark.parametrize("what", TEXTS)
def test_files_that_are_no_records(store, what):
    path = store.path("toy-fer7", "net", "bbb-s0")
    path.write_bytes(TEXTS[what](path.read_bytes()))
    (difference,) = only_differences_of(store, path, 2)
    assert difference.key == "the file"
    assert store.find_intact("toy-fer7", "net", "bbb-s0") is None or what in (
        "a key twice",
        "infinite somewhere",
        "beyond floats somewhere",
    )


def test_pipes_folders_and_links(store, tmp_path):
    path = store.path("toy-fer7", "net", "bbb-s0")
    predictions = path.with_name("bbb-s0.test.npz")
    outside = tmp_path / "outside.npz"
    predictions.rename(outside)
    predictions.symlink_to(outside)
    assert "leads out" in only_differences_of(store, path, 3)[0].recomputed
    assert not store.intact(store.get("bbb-s0"))
    predictions.unlink()
    os.mkfifo(predictions)
    assert "not a regular file" in only_differences_of(store, path, 3)[0].recomputed
    predictions.unlink()
    predictions.symlink_to(predictions.name)
    only_differences_of(store, path, 3)
    predictions.unlink()
    predictions.mkdir()
    only_differences_of(store, path, 3)
    path.unlink()
    os.mkfifo(path)
    only_differences_of(store, path, 2)


@pytest.fixture(scope="module")
def with_grid(whole, tmp_path_factory):
    made = Store(shutil.copytree(whole.root, tmp_path_factory.mktemp("with_grid") / "leaderboards"))
    stacked = StackedPredictions(GOOD, np.stack([GOOD.outputs] * 3).astype(np.float16))
    common = {
        "metrics": score(Protocol("toy", TASKS["fer7"]), stacked.of(0)),
        "n_scored": N,
        "outcomes": pack_outcomes(correct(stacked.of(0))),
    }
    made.put_grid("g", [record("net", f"h{h}", spec={"lr": h}, **common) for h in range(3)], {"test": stacked})
    assert verify(made).ok
    return made


@pytest.fixture
def grid(store, with_grid):
    """The file of a grid beside the three records."""
    shutil.copytree(with_grid.root, store.root, dirs_exist_ok=True)
    return store.grid_path("toy-fer7", "net", "g")


@pytest.mark.parametrize(
    "line",
    [
        None,
        5,
        [],
        {},
        {"run_id": "../x"},
        {"run_id": "h0-s0"},
        {"run_id": "x", "protocol": "other"},
        {"run_id": "x", "model": "other"},
        {"run_id": "x", "predictions": {"test": {"head": 10**20}}},
        {"run_id": "x", "predictions": {"test": {"head": 99}}},
        {"run_id": "x", "predictions": 3},
        {"run_id": "x", "predictions": {"test": {"file": "../../../x.npz", "sha256": "0" * 64, "n": 3}}},
        {"run_id": "x", "spec": [1]},
    ],
)
def test_a_line_of_a_grid_is_one_difference(store, grid, line):
    content = json.loads(grid.read_text())
    content["records"].insert(1, line)
    grid.write_text(json.dumps(content))
    report = verify(store)
    assert {str(difference.file).partition("#")[0] for difference in report.differences} == {str(grid)}
    # All but one line of the grid, and the three others.
    assert report.n_verified - len({d.file for d in report.differences if "#" in str(d.file)}) >= 5
    assert store.find_intact_grid("toy-fer7", "net", "g") is None or report.n_verified == 7


@pytest.mark.parametrize(
    "own",
    [
        '{"run_id": "x", "run_id": "y"}',
        '{"run_id": "x", "n_scored": 1e400}',
        '{"data": {"a": [NaN]}}',
        '{"seed": ' + "1" * 3000 + "}",
    ],
)
def test_a_line_of_a_grid_that_not_all_read_alike(store, grid, own):
    grid.write_text(grid.read_text().replace('"records":[', '"records":[' + own + ",", 1))
    report = verify(store)
    assert [(str(d.file), d.key, "record 1" in d.recomputed) for d in report.differences] == [
        (str(grid), "the file", True)
    ]
    assert report.n_verified == 6


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "null", "", "{", '{"shared": 3, "records": []}', '{"shared": {}, "records": {"a": 1}}', "[" * 9999],
)
def test_a_grid_that_is_none(store, grid, text):
    grid.write_text(text)
    (difference,) = only_differences_of(store, grid, 3)
    assert "damaged grid" in difference.recomputed
    assert store.find_intact_grid("toy-fer7", "net", "g") is None


def test_names_that_lead_elsewhere_are_refused(store):
    for protocol, run_id in (
        ("..", "x"),
        ("a/b", "x"),
        ("toy-fer7", "../x"),
        ("toy-fer7", ""),
        ("toy-fer7", "a\0"),
        ("toy-fer7", "x" * 300),
    ):
        with pytest.raises(RecordError, match="cannot be the name"):
            store.find(protocol, "net", run_id)
    assert store.path("toy-fer7", "..", "x").parent.name == "_."
    with pytest.raises(FerBenchError):
        store.put(
            record().model_copy(update={"run_id": "../x"}), {"test": Predictions(GOOD.ids, GOOD.targets, GOOD.outputs)}
        )
