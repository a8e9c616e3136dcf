"""FER+'s votes as a teacher on FER2013, in the layouts of the real files."""

import numpy as np
import pytest

from fer_bench.datasets.load import build_datamodule
from fer_bench.errors import BadDataError, MissingDataError, SpecError
from fer_bench.labels import FER7, FER8
from fer_bench.results.inputs import TEACHER
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.sweeps.todo import todo
from fer_bench.tasks.distilling import VOTES
from fer_bench.training.run import run
from fer_bench.training.votes import votes_for
from tests.fakes import make_faces, make_votes, write_csv, write_votes

FACES = make_faces((6, 3, 3))
COUNTS = make_votes(FACES)
# Nobody sees one of the seven in the first face, and all see contempt in the second.
COUNTS[0] = np.eye(10, dtype=np.int64)[9] * 10
COUNTS[1] = np.eye(10, dtype=np.int64)[7] * 10


def spec_of(home, **settings):
    plain = {
        "dataset": "fer2013",
        "epochs": 1,
        "batch_size": 21,
        "model_options": {"width": 2},
        "precision": "32-true",
        "augment_on": "device",
        "method": "distill",
        "method_options": {"teachers": VOTES, "temperature": 2.0},
        "execution": {"accelerator": "cpu", "data_dir": str(home / "data")},
    }
    return RunSpec.model_validate(plain | settings)


@pytest.fixture
def voted(home, monkeypatch):
    monkeypatch.setenv("FER_BENCH_CACHE", str(home / "cache"))
    write_csv(home / "data" / "fer2013", FACES)
    write_votes(home / "data" / "fer2013", FACES, COUNTS)
    return home


def test_votes_are_the_shares_of_the_seven_classes(voted):
    spec = spec_of(voted)
    found = votes_for(spec, build_datamodule(spec))
    train = FACES.usage == "Training"
    assert found.shares.shape == (train.sum(), 7)
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)
    counts = COUNTS[train]
    for c, name in enumerate(FER7.names):
        voters = counts[2:, : len(FER8)].sum(axis=1) - counts[2:, FER8.index("contempt")]
        np.testing.assert_allclose(found.shares[2:, c], counts[2:, FER8.index(name)] / voters)
    # Without a vote for one of them, the label.
    assert found.unnamed == 2
    assert found.shares[:2].argmax(axis=1).tolist() == FACES.labels[:2].tolist()
    logits = np.log(found.shares + 1e-300) / 2
    np.testing.assert_allclose(
        found.softened(2.0), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-12
    )


def test_a_row_that_was_taught_by_votes_is_marked(voted):
    record = run(spec_of(voted))
    assert record.caveats == ["extra labels"]
    (facts,) = record.training["teachers"]
    assert facts["votes"] == VOTES
    assert record.inputs[TEACHER + VOTES] == facts["digest"]
    assert any("distilled from votes:ferplus (2 training faces without a vote)" in note for note in record.notes)
    assert run(spec_of(voted)).created == record.created
    # Other votes: another run.
    other = COUNTS.copy()
    other[5] = np.eye(10, dtype=np.int64)[1] * 10
    write_votes(voted / "data" / "fer2013", FACES, other)
    assert run(spec_of(voted)).run_id != record.run_id


def test_a_suite_knows_by_which_votes_a_student_was_taught(voted):
    spec, store = spec_of(voted), Store()
    assert todo([(spec, ())], store).runs == [spec]
    run(spec, store)
    assert todo([(spec, ())], store).runs == []
    other = COUNTS.copy()
    other[5] = np.eye(10, dtype=np.int64)[1] * 10
    write_votes(voted / "data" / "fer2013", FACES, other)
    assert todo([(spec, ())], store).runs == [spec]
    # Where they are not, nothing says that they are others.
    (voted / "data" / "fer2013" / "fer2013new.csv").unlink()
    assert todo([(spec, ())], store).runs == []


def test_what_has_no_votes_is_refused(voted, tmp_path):
    spec = spec_of(voted)
    (voted / "data" / "fer2013" / "fer2013new.csv").unlink()
    with pytest.raises(MissingDataError, match=r"fer2013new\.csv"):
        run(spec)
    with pytest.raises(SpecError, match="this run is of synthfaces"):
        run(spec_of(voted, dataset="synthfaces", dataset_options={"n_train": 42, "n_validation": 21, "n_test": 28}))
    with pytest.raises(SpecError, match="there are no votes 'votes:rafdb'"):
        run(spec_of(voted, method_options={"teachers": ["votes:rafdb"]}))


def test_votes_on_another_copy_of_the_faces_are_refused(voted, monkeypatch):
    spec = spec_of(voted)
    data = build_datamodule(spec)
    data.setup()
    data.samples.checksums = data.samples.checksums | {"train": "0" * 16}
    with pytest.raises(BadDataError, match="on another copy of the faces"):
        votes_for(spec, data)
