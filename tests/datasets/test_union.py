"""Several datasets as one: labels by name, one form of images, and no test face of any of them in training."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_bench.data.batches import BalancedSampler
from fer_bench.data.duplicates import copies_of_test
from fer_bench.datasets.load import build_datamodule
from fer_bench.datasets.muxspace import MuxspaceDataModule
from fer_bench.errors import BadDataError, SpecError, UnknownNameError
from fer_bench.labels import FER7
from fer_bench.protocols import info_of, parts_of, protocol_for
from fer_bench.results.store import Store
from fer_bench.spec import build
from fer_bench.training.evaluate import evaluate

SMALL = {"n_train": 40, "n_validation": 20, "n_test": 20}
NAMES = ("anger", "HAPPINESS", "Neutral", "sadness", "surprise", "disgust", "fear", "contempt")


def spec_of(home, task="fer7", **options):
    return build(
        {
            "dataset": "synthfaces+muxspace",
            "task": task,
            "dataset_options": {"synthfaces": SMALL, **options},
            "model_options": {"width": 4},
            "epochs": 1,
            "batch_size": 32,
            "precision": "32-true",
            "execution": {"accelerator": "cpu", "workers": 0, "data_dir": str(home / "data")},
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """muxspace's layout, with 96 faces that are noise, and three that are test faces of the other source."""
    home = tmp_path_factory.mktemp("union")
    root = home / "data" / "muxspace"
    for folder in ("data", "images"):
        (root / folder).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        set_places(patch, home)
        lines = ["user.id,image,emotion"]
        generator = np.random.default_rng(0)
        for i in range(96):
            name = f"Person{chr(65 + i % 24)}_{i:04d}.png"
            lines.append(f"1,{name},{NAMES[i % 8]}")
            small = generator.integers(0, 255, (12, 12, 3)).astype(np.uint8)
            cv2.imwrite(str(root / "images" / name), cv2.resize(small, (96, 96), interpolation=cv2.INTER_NEAREST))
        write_legend(root, lines)
        module = MuxspaceDataModule("fer8", data_dir=str(home / "data"))
        module.setup()
        train = [str(i) for i in module.read_samples.ids[module.read_samples.split == "train"]][:3]
        other = build_datamodule(build({"dataset": "synthfaces", "dataset_options": SMALL}), reading=True)
        other.setup()
        test = other.read_samples.where("test")
        for name, at in zip(train, test, strict=False):
            face = np.asarray(other.read_samples.images[int(at)])
            # As another set would hold it: mirrored, larger.
            cv2.imwrite(str(root / "images" / name), cv2.resize(face[:, ::-1], (96, 96)))
    return home


def write_legend(root, lines):
    (root / "data" / "legend.csv").write_text("\n".join(lines) + "\n")


def set_places(patch, home):
    for name, place in (("CACHE", "cache"), ("RUNS", "runs"), ("LEADERBOARDS", "boards")):
        patch.setenv(f"FER_BENCH_{name}", str(home / place))


@pytest.fixture
def places(home, monkeypatch):
    set_places(monkeypatch, home)
    return home


def test_a_name_is_a_union_only_of_different_known_datasets():
    assert parts_of("fer2013+muxspace") == ("fer2013", "muxspace")
    assert parts_of("fer2013") == parts_of("fer2013+fer2013") == parts_of("folder:a+b") == ()
    info = info_of("fer2013+muxspace")
    assert info.title == "FER2013 + muxspace/facial_expressions"
    assert info.default_task == "fer7"
    assert "near-duplicates of test faces" in protocol_for("fer2013+muxspace", "fer7").about
    for wrong, named in (
        ("fer2013+muxspce", "unknown dataset 'muxspce'"),
        ("fer2013+folder:x", "'folder:x' cannot be joined"),
        ("fer2013+fer2013", "'fer2013' is there twice"),
        ("fer2013+", r"nothing beside a '\+'\. Did you mean 'fer2013'\?"),
        ("+fer2013++muxspace", r"nothing beside a '\+'\. Did you mean 'fer2013\+muxspace'\?"),
        ("fer2013 + muxspace", r"a blank beside a '\+'\. Did you mean 'fer2013\+muxspace'\?"),
    ):
        with pytest.raises((UnknownNameError, SpecError), match=named):
            build_datamodule(build({"dataset": wrong}), reading=True)


def test_labels_are_mapped_and_images_have_one_form(places):
    module = build_datamodule(spec_of(places), reading=True)
    module.setup()
    samples = module.read_samples
    source = samples.columns["attribute:source"].astype(str)
    assert set(source) == {"synthfaces", "muxspace"}
    facts = samples.facts["union"]
    assert facts["muxspace"]["left_out"] == {"contempt": 12}
    assert any("12 samples of contempt are left out" in note for note in samples.notes)
    assert {samples.images[i].shape for i in range(0, len(samples), 7)} == {(48, 48)}
    happy = [at for at, name in enumerate(samples.ids.tolist()) if name[-8:-4].isdigit() and int(name[-8:-4]) % 8 == 1]
    assert {FER7.names[samples.targets["fer7"][at]] for at in happy if source[at] == "muxspace"} == {"happy"}
    assert samples.checksums.keys() == {"train", "validation", "test"}


def test_test_faces_of_any_source_are_not_in_training(places):
    module = build_datamodule(spec_of(places), reading=True)
    module.setup()
    samples = module.read_samples
    dropped = samples.facts["union_duplicates"]
    assert dropped["pairs"].get("muxspace as in the test of synthfaces") == 3
    assert samples.notes[0].startswith(f"{dropped['n_dropped']} near-duplicates of test faces are left out of training")
    found, _ = copies_of_test(samples.images, samples.split)
    assert (found < 0).all()
    assert not samples.columns["duplicate"].any()
    refusing = build_datamodule(spec_of(places, union_duplicates="refuse"), reading=True)
    with pytest.raises(BadDataError, match=r"near-duplicates of a test face.*3 of muxspace as in the test of synth"):
        refusing.setup()


def test_options_are_those_of_a_source_or_of_the_union(places):
    for options, said in (
        ({"union_balanced": True}, "union_balance"),
        ({"muxspace": {"tests": 0.1}}, "no option 'tests'"),
        ({"folds": 5, "fold": 0}, "folds are cut within a source"),
    ):
        with pytest.raises(SpecError) as error:
            build_datamodule(spec_of(places, **options), reading=True).setup()
        assert said in str(error.value)
    with pytest.raises(SpecError, match="joined by the names of their classes"):
        build_datamodule(spec_of(places, task="va"), reading=True).setup()


def test_how_a_source_is_split_is_said_of_the_union():
    leaky = {"ckplus": {"folds": 5, "fold": 0, "fold_by": "frame"}, "jaffe": {"folds": 5, "fold": 0}}
    assert protocol_for("ckplus+jaffe", "fer7", options=leaky).caveats == (
        "leaky: frames of one clip are in train and in test",
    )
    assert protocol_for("ckplus+jaffe", "fer7", options={"jaffe": {"fold": 0}}).caveats == ()
    # Its test split stands for validation only where it is read alone.
    paper = protocol_for("findingemo+synthscenes", "emo8", options={"findingemo": {"split": "paper"}})
    assert (paper.name, paper.caveats) == ("findingemo+synthscenes-emo8", ())


def test_balanced_sources_give_as_many_samples_each():
    source = np.array(["a"] * 70 + ["b"] * 20 + ["c"] * 10)
    sampler = BalancedSampler(source, 0)
    drawn = np.array([i for _, i in sampler])
    assert len(sampler) == len(drawn) == 100
    assert np.unique(source[drawn], return_counts=True)[1].tolist() == [34, 33, 33]
    # Of a small source all are used before any is repeated a third time.
    assert set(np.bincount(drawn, minlength=100)[70:90]) <= {1, 2}
    sampler.set_epoch(1)
    assert [i for _, i in sampler] != drawn.tolist()
    sampler.set_epoch(0)
    assert [i for _, i in sampler] == drawn.tolist()
    halves = [[i for _, i in BalancedSampler(source, 0, rank=rank, world=2)] for rank in (0, 1)]
    assert sorted(halves[0] + halves[1]) == sorted(drawn.tolist())


def test_a_run_is_tested_on_each_source(places, capsys):
    from fer_bench.apps.runs import carry_out

    store = Store()
    spec = spec_of(places, union_balance=True)
    record = carry_out(spec, store)
    assert record.protocol == "synthfaces+muxspace-fer7"
    assert record.data["union_duplicates"]["n_dropped"] >= 3
    tested = {found.dataset: found for found in store.records() if found.kind == "evaluated"}
    assert tested.keys() == {"synthfaces", "muxspace"}
    own = tested["synthfaces"]
    assert own.protocol == "synthfaces-fer7"
    assert own.caveats == ["trained on synthfaces+muxspace"]
    assert own.n_scored == 20
    # The test faces of the source alone, not all of it.
    assert tested["muxspace"].n_scored + 20 <= record.n_scored + tested["muxspace"].metrics["n"]
    assert {"muxspace/" + i for i in store.predictions(tested["muxspace"]).ids} <= set(store.predictions(record).ids)
    out = capsys.readouterr().out
    assert "note        " in out
    assert "of muxspace as in the test of synthfaces" in out
    carry_out(spec, store)
    assert "tested on" not in capsys.readouterr().out
    with pytest.raises(SpecError, match="was trained on muxspace too"):
        evaluate(store, record.run_id, "muxspace", options={"test": 0.5}, execution=spec.execution)
