"""What a record says of the data that it was made on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fer_bench.data.datamodule import AffectDataModule
from fer_bench.data.samples import SPLITS, names_digest
from fer_bench.protocols import SELECTED_ON_TEST, Protocol


def split_caveats(facts: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the splits of :func:`data_facts`: that validation is the test once more, as where a
    folder was copied.
    """
    checksums = facts.get("checksums") or {}
    same = checksums.get("validation") and checksums["validation"] == checksums.get("test")
    return [SELECTED_ON_TEST] if same else []


def data_facts(datamodule: AffectDataModule, protocol: Protocol) -> dict[str, Any]:
    """What is known of the data: layout, sizes, identity, duplicates, and whether it is the copy that the protocol
    ranks.
    """
    samples = datamodule.read_samples
    checksums = samples.checksums
    facts: dict[str, Any] = {
        "layout": samples.layout,
        "image_size": int(samples.images[0].shape[0]),
        "image_shape": list(samples.images[0].shape),
        "n": {split: len(samples.where(split)) for split in SPLITS},
        "checksums": checksums,
        "known_copy": (
            all(checksums.get(split) == value for split, value in protocol.checksums.items())
            if protocol.checksums
            else None
        ),
        "notes": samples.notes,
        "n_quarantined": len(samples.quarantined),
        **samples.facts,
        "quarantined": [f"{path}: {reason}" for path, reason in samples.quarantined[:50]],
    }
    if datamodule.plugin is not None:
        facts["plugin"] = datamodule.plugin.facts()
    if "identity" in samples.columns and len(samples):
        # Persons by number: what they are called makes no difference.
        numbers = np.unique(samples.columns["identity"].astype(str), return_index=True, return_inverse=True)
        facts["people_by_sample"] = names_digest(numbers[1][numbers[2]].tolist())
    if "duplicate" in samples.columns:
        facts["n_test_duplicates"] = int(samples.columns["duplicate"][samples.where("test")].sum())
    return facts
