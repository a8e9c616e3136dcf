"""Files of weights that are those of a run of this suite: it is known of them what they were trained on, by whatever
path they are named.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import torch

from fer_bench.errors import FerBenchError
from fer_bench.models.weights import read_file, tensors_digest
from fer_bench.results.begin import begin_record
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec

# Of a module that holds a network, and of a network that holds its body.
_NETWORK, _BODY = "network.", "body."
# Beside the weights of a network that was fetched from the hub.
_RECORD = "record.json"


def runs_of_file(path: str, store: Store) -> list[Record]:
    """The runs whose weights a file may hold.

    Args:
        path: of the file; one that is not there is none of a run.
        store: where runs are looked up.

    Returns:
        The run that ended with these very weights; else those of the settings that the checkpoint says it is of, or
        their record as it would begin where none is there. Empty of any other file.
    """
    try:
        now = Path(path).stat()
        digest, settings = _stated(path, now.st_size, now.st_mtime_ns)
    except (FerBenchError, OSError):
        # Whoever loads it says what is wrong with it.
        return []
    if not digest:
        return []
    for record in store.records():
        if record.kind == "trained" and record.training.get("weights_sha256") == digest:
            return [record]
    with contextlib.suppress(FerBenchError):
        record = Record.load(Path(path).parent / _RECORD)
        if record.kind == "trained" and record.training.get("weights_sha256") == digest:
            return [record]
    with contextlib.suppress(FerBenchError, ValueError):
        spec = RunSpec.model_validate_json(settings)
        plain = spec.run_id()
        alike = [record for record in store.records(spec.protocol) if record.run_id.partition("-x")[0] == plain]
        return alike or [begin_record(spec, spec.judge, plain)]
    return []


@functools.lru_cache(8)
def _stated(path: str, *_version: int) -> tuple[str, str]:
    """Digest of the network in a file, and the settings that it says it was trained with; both empty where it holds no
    network of this suite.
    """
    content = read_file(path)
    inner = content.get("state_dict")
    tensors = {
        str(key).removeprefix(_NETWORK): value
        for key, value in (inner if isinstance(inner, dict) else content).items()
        if isinstance(value, torch.Tensor) and str(key).startswith((_NETWORK, _BODY, "adapter."))
    }
    if not any(key.startswith(_BODY) for key in tensors):
        return "", ""
    return tensors_digest(tensors.items()), str(content.get("spec") or "")
