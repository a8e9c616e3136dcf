"""Checkpoints of this suite that are named as files: they are known for the runs that they are of."""

from __future__ import annotations

import shutil

import pytest
import torch

from fer_bench.errors import SpecError
from fer_bench.models.recognised import runs_of_file
from fer_bench.models.trained import checkpoint_of, spec_of
from fer_bench.results.lineage import lineage
from fer_bench.results.store import Store
from fer_bench.training.run import run


def copies(checkpoint, folder):
    """The best weights as they are copied about, and the last ones, which no record names."""
    content = torch.load(checkpoint, weights_only=True)
    bare = {name.removeprefix("network."): value for name, value in content["state_dict"].items()}
    for name, held in (("whole.pth", content), ("state.pth", content["state_dict"]), ("network.pt", bare)):
        torch.save(held, folder / name)
        yield folder / name
    yield checkpoint.with_name("last.ckpt")


def test_a_file_is_refused_as_its_run_is(finished, tiny, tmp_path):
    _, record, store = finished
    checkpoint = checkpoint_of(record, spec_of(record))
    other = record.spec["dataset_options"] | {"n_train": 72}
    for file in copies(checkpoint, tmp_path):
        spec = tiny(weights=str(file), epochs=1, dataset_options=other)
        with pytest.raises(SpecError, match=f"weights: run {record.run_id} was trained on another copy or fold"):
            run(spec, store)
        # A store without the run's record knows what the checkpoint says, or nothing.
        (known,) = runs_of_file(str(file), Store(tmp_path / "empty")) or [None]
        assert (known is None) == (file.name in ("state.pth", "network.pt"))
    # As in the cache of the hub, with its record beside it.
    shutil.copy(store.path(record.protocol, record.model, record.run_id), tmp_path / "record.json")
    (known,) = runs_of_file(str(tmp_path / "network.pt"), Store(tmp_path / "empty"))
    assert known.run_id == record.run_id


def test_what_was_begun_with_a_file_remembers_its_run(finished, tiny, tmp_path):
    _, record, store = finished
    (file, *_) = copies(checkpoint_of(record, spec_of(record)), tmp_path)
    grown = run(tiny(weights=str(file), epochs=1, dataset_options=record.spec["dataset_options"]), store)
    assert grown.training["initial_weights"]["runs"] == [record.run_id]
    assert [one.run_id for one in lineage([grown], store)] == [grown.run_id, record.run_id]
