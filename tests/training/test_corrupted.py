"""A network on corrupted images: stored beside its record, recomputed by verify, shown on the board and in the report,
gone with another training."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.cli.robustness import lines_of
from fer_bench.data.corruptions import COVERS, corrupt
from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import DamagedFileWarning
from fer_bench.leaderboard.render import render, render_all
from fer_bench.leaderboard.verify import verify
from fer_bench.protocols import PROTOCOLS, DatasetInfo
from fer_bench.report.page import report
from fer_bench.results import corruptions
from fer_bench.results.corruptions import FAMILIES, TITLES, Corrupted, pack, unpack
from fer_bench.results.store import Store
from fer_bench.scoring.corrupted import score_corrupted
from fer_bench.training.corrupted import measure
from fer_bench.training.loading import load_run, with_views
from fer_bench.training.run import run
from tests.training.conftest import SMALL


@pytest.fixture(scope="module")
def measured(trained, cache):
    """What is measured once on the finished run."""
    _, record, store, folder = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(cache))
        patch.setenv("FER_BENCH_RUNS", str(folder / "runs"))
        return measure(store, record)


def evaluate(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--accelerator", "cpu"])


def test_the_scores_are_those_of_the_network_on_corrupted_images(finished, measured):
    spec, record, store = finished
    network = load_run(store, record.run_id).task
    datamodule = build_datamodule(spec)
    samples = datamodule.read_samples
    at = samples.where("test")
    import torch

    images = np.stack([corrupt(np.asarray(samples.images[i]), "shot_noise", 4, str(samples.ids[i])) for i in at])
    with torch.inference_mode():
        answers = network.predict_step({"image": torch.from_numpy(images).unsqueeze(1)}).numpy().argmax(axis=1)
    right = (answers == datamodule.targets("test")).mean()
    assert measured.scores["shot_noise"][3] == pytest.approx(right)
    assert list(measured.scores) == list(TITLES)
    assert measured.clean == pytest.approx(record.metrics["accuracy"])
    everything = [score for each in measured.scores.values() for score in each]
    assert len(everything) == 65
    assert measured.mean == pytest.approx(np.mean(everything))
    assert measured.faces == {"landmarks of the dataset": len(at), "standard place": 0}


@pytest.mark.draws
def test_measured_once_stored_verified_and_shown(finished, measured, monkeypatch, home):
    _, record, store = finished
    render_all(store)
    board = store.root / f"{record.protocol}.md"
    assert "orrupted" not in board.read_text(), "no empty column"
    monkeypatch.setattr("fer_bench.training.corrupted.measure", lambda *_: measured)
    result = evaluate(record.run_id, "--corruptions", "--csv", home / "c.csv", "--png", home / "c.png")
    assert result.exit_code == 0, result.output
    table = [line for line in result.output.splitlines() if line.startswith(tuple(TITLES.values()))]
    assert len(table) == len(TITLES)
    assert max(map(len, table)) <= 100
    assert (home / "c.csv").read_text().count("\n") == 2 + 65
    path = corruptions.path_of(store, record)
    assert path.with_suffix(".png").read_bytes() == (home / "c.png").read_bytes()
    assert Corrupted.load(path, strict=True) == measured
    assert store.get(record.run_id) == record, "the record never changes for it"
    assert f"| {100 * measured.mean:.2f} ({-100 * measured.drop:+.1f} %) |" in board.read_text()
    assert verify(store).ok
    assert render_all(store, check=True) == []
    store.sweep(store.records(), store.protocols())
    assert path.is_file()
    monkeypatch.setattr("fer_bench.training.corrupted.measure", lambda *_: pytest.fail("measured twice"))
    assert "was measured before" in evaluate(record.run_id, "--corruptions").output
    page = report(store, record.run_id, home / "report")
    assert (page.parent / "corrupted.png").read_bytes() == path.with_suffix(".png").read_bytes()


@pytest.mark.parametrize("key", ["mean", "drop", "clean", "scores", "intervals", "answers", "n", "of"])
def test_what_does_not_follow_from_the_answers_is_found(finished, measured, key):
    _, record, store = finished
    path = corruptions.put(store, record, measured, b"")
    assert verify(store).ok
    content = json.loads(path.read_text())
    if key in ("mean", "drop", "clean"):
        content[key] += 0.01
    elif key == "n":
        content[key] -= 1
    elif key == "scores":
        content[key]["jpeg"][2] = 0.99
    elif key == "intervals":
        content[key]["mean"] = [0.0, 1.0]
    elif key == "of":
        content[key]["weights"] = "0" * 64
    else:
        content[key]["jpeg"] = pack(np.full_like(unpack(content[key]["jpeg"], measured.n), -1))
    path.write_text(json.dumps(content))
    differences = verify(store).differences
    assert differences
    assert {difference.file for difference in differences} == {path}


@pytest.mark.parametrize("left_out", [{}, {"jpeg": "too hard"}])
def test_a_mean_over_the_kinder_corruptions_is_found(finished, measured, left_out):
    _, record, store = finished
    kind = {name: text for name, text in measured.answers.items() if name != "jpeg"}
    answers = {name: unpack(text, measured.n) for name, text in kind.items()}
    scores = score_corrupted(PROTOCOLS[record.protocol], store.predictions(record), answers)
    path = corruptions.put(
        store,
        record,
        Corrupted.model_validate({**measured.model_dump(), **scores, "answers": kind, "left_out": left_out}),
        b"",
    )
    assert [(found.file, found.key) for found in verify(store).differences] == [(path, "answers.jpeg")]


def test_the_scores_of_a_protocol_without_records_are_found(finished, measured):
    _, record, store = finished
    path = corruptions.put(store, record, measured, b"")
    other = path.parent.parent.parent / "gone" / path.parent.name / path.name
    other.parent.mkdir(parents=True)
    path.rename(other)
    other.write_text(other.read_text().replace(f'"{record.protocol}"', '"gone"'))
    assert [found.file for found in verify(store).differences] == [other]


@pytest.mark.parametrize("text", ["", "{}", "[" * 500, "no json"])
def test_a_damaged_file_is_named(finished, measured, text):
    _, record, store = finished
    path = corruptions.put(store, record, measured, b"")
    path.write_text(text)
    (difference,) = verify(store).differences
    assert difference.file == path
    result = evaluate(record.run_id, "--corruptions")
    assert str(path) in str(result.exception)
    # Boards are of more than it.
    with pytest.warns(DamagedFileWarning, match="left out: .*" + re.escape(str(path))):
        pages = render(store)
    assert any(record.run_id in page for page in pages.values())


def test_answers_that_unpack_to_more_are_refused_before_they_do(finished, measured):
    _, record, store = finished
    path = corruptions.put(
        store,
        record,
        measured.model_copy(update={"answers": {**measured.answers, "jpeg": pack(np.zeros((5, 10**6)))}}),
        b"",
    )
    (difference,) = verify(store).differences
    assert difference.file == path
    assert "or more where" in str(difference)


def test_scores_of_another_training_are_not_shown(finished, measured):
    _, record, store = finished
    corruptions.put(store, record, measured, b"")
    store.amend(record.model_copy(update={"training": record.training | {"weights_sha256": "0" * 64}}))
    assert corruptions.find(store, store.get(record.run_id)) is None
    render_all(store)
    assert "orrupted" not in (store.root / f"{record.protocol}.md").read_text()
    (difference,) = verify(store).differences
    assert "another training of this run" in str(difference)


def test_values_with_views(home, tiny):
    store = Store()
    record = run(tiny(task="va", loss="mse", epochs=1, tta=2, tta_kind="flip"), store)
    result = evaluate(record.run_id, "--corruptions")
    assert result.exit_code == 0, result.output
    found = corruptions.find(store, record)
    assert found.metric == "ccc"
    assert found.clean == pytest.approx(record.metrics["ccc"])
    assert verify(store).ok
    # What is stored is what the row's views answer.
    trained = load_run(store, record.run_id)
    samples = build_datamodule(trained.spec).read_samples
    at = int(samples.where("test")[5])
    import torch

    image = corrupt(np.asarray(samples.images[at]), "jpeg", 5, str(samples.ids[at]))
    answer = with_views(trained).predict_step({"image": torch.from_numpy(image)[None, None]}).numpy()[0]
    np.testing.assert_allclose(unpack(found.answers["jpeg"], found.n, 2)[4, 5], answer, atol=2e-3)


def test_a_network_fed_with_another_size_sees_the_same_corrupted_faces(home, tiny, monkeypatch):
    seen = []
    from fer_bench.data import corruptions as module

    real = module.corrupt
    monkeypatch.setattr(module, "corrupt", lambda image, *rest: seen.append(image.shape) or real(image, *rest))
    monkeypatch.setattr("fer_bench.training.corrupted.TITLES", {"jpeg": "JPEG"})
    store = Store()
    record = run(tiny(image_size=32, epochs=1, dataset_options=SMALL | {"size": 48}), store)
    measure(store, record)
    assert set(seen) == {(48, 48)}


def test_the_families_are_all_the_corruptions():
    assert set(COVERS) == corruptions.NEED_FACES
    assert sum(map(len, FAMILIES.values())) == len(TITLES) == 13


def test_nothing_is_covered_in_scenes_and_that_is_said(finished, monkeypatch):
    _, record, store = finished
    monkeypatch.setattr("fer_bench.training.corrupted.info_of", lambda dataset: DatasetInfo(dataset, picture="scene"))
    monkeypatch.setattr("fer_bench.training.corrupted.TITLES", {"jpeg": "JPEG", "covered_eyes": "eyes covered"})
    found = measure(store, record)
    assert list(found.scores) == ["jpeg"]
    assert found.left_out == dict.fromkeys(("covered_eyes", "covered_mouth"), "these are scenes, not faces")
    assert "left out: eyes covered: these are scenes, not faces" in lines_of(found)
