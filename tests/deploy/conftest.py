"""Runs that were never trained: a record and a checkpoint of fresh weights, made in a moment."""

from __future__ import annotations

import pytest


@pytest.fixture
def make_run(own_folders):
    """Make a run from the settings of a spec; gives its store and its id."""
    import torch

    from fer_bench.datasets.load import build_datamodule
    from fer_bench.protocols import protocol_for
    from fer_bench.results.begin import begin_record, run_folder
    from fer_bench.results.store import Store
    from fer_bench.spec import RunSpec
    from fer_bench.training.build import build_task

    torch.set_num_threads(1)

    def make(**settings):
        spec = RunSpec.model_validate({"model_options": {"width": 4}, **settings})
        image = build_datamodule(spec).read_samples.images[0]
        protocol = protocol_for(spec.dataset, spec.task, spec.folding.by if spec.folding else "")
        torch.manual_seed(3)
        task = build_task(spec, protocol, native_size=image.shape[0])
        # Fresh networks answer everything alike; these do not.
        with torch.no_grad():
            for parameter in task.network.parameters():
                parameter.mul_(1.7)
        run_id = spec.run_id()
        record = begin_record(spec, protocol, run_id)
        folder = run_folder(spec, record)
        folder.mkdir(parents=True)
        torch.save({"state_dict": task.state_dict(), "epoch": 0}, folder / "best.ckpt")
        store = Store()
        store.put(record.model_copy(update={"data": {"image_size": image.shape[0], "image_shape": list(image.shape)}}))
        return store, run_id

    return make
