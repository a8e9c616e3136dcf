"""Reads what an offline run of Weights & Biases holds, from its ``.wandb`` file: records of protocol buffers in a log
of LevelDB's format.
"""

from __future__ import annotations

import json
import struct
import time

_BLOCK, _HEAD = 32768, 7


def offline_runs(folder):
    """The files of the runs below a folder, oldest first."""
    return sorted(folder.rglob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def records(path):
    """All records of a file."""
    from wandb.proto import wandb_internal_pb2

    # The service writes the end of a run a moment after the run is closed.
    end = time.monotonic() + 30
    while True:
        found = []
        for content in _chunks(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            found.append(record)
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < end, f"{path} has no end"
        time.sleep(0.05)


def _chunks(data):
    at, whole = _HEAD, b""
    while at + _HEAD <= len(data):
        if _BLOCK - at % _BLOCK < _HEAD:
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + _HEAD])
        if kind == 0:
            return
        whole += data[at + _HEAD : at + _HEAD + length]
        at += _HEAD + length
        # Whole, first, middle, last.
        if kind in (1, 4):
            yield whole
            whole = b""


def _items(items):
    return {"/".join(item.nested_key) if item.nested_key else item.key: json.loads(item.value_json) for item in items}


def header(path):
    """What the run is called, and where it belongs."""
    return next(record.run for record in records(path) if record.WhichOneof("record_type") == "run")


def config(path):
    """The configuration."""
    found = {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind in ("run", "config"):
            found |= _items((record.run.config if kind == "run" else record.config).update)
    return found


def history(path):
    """Rows that were logged."""
    return [_items(record.history.item) for record in records(path) if record.WhichOneof("record_type") == "history"]


def epochs(path):
    """Rows of epochs."""
    return [row for row in history(path) if "epoch" in row]


def summary(path):
    """Results of the whole run."""
    found = {}
    for record in records(path):
        if record.WhichOneof("record_type") == "summary":
            found |= _items(record.summary.update)
    return found
