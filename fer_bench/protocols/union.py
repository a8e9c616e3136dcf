"""Several datasets as one: ``--dataset fer2013+expw``."""

from __future__ import annotations

import functools
from typing import Any, Literal

from pydantic import Field, create_model

from fer_bench.protocols.dataset import DATASETS, DatasetInfo
from fer_bench.protocols.options import DatasetOptions

JOINED = "+"


class UnionOptions(DatasetOptions):
    """What ``dataset_options`` may hold for several datasets; beside these, options of one of them under its name."""

    union_balance: bool = Field(
        False, description="whether each source gives as many training faces an epoch as the others"
    )
    union_duplicates: Literal["drop", "refuse"] = Field(
        "drop",
        description=(
            "what becomes of faces of train and validation that are near-duplicates of a test face of any source: drop"
            " leaves them out and counts them, refuse ends the run"
        ),
    )

    def of(self, part: str) -> dict[str, Any]:
        """The options of one of the datasets."""
        found: dict[str, Any] = getattr(self, part)
        return dict(found)


def parts_of(dataset: str) -> tuple[str, ...]:
    """The datasets that a name joins by ``+``, at least two different ones of the package; empty for any other name."""
    names = tuple(dataset.split(JOINED))
    known = all(name in DATASETS and not DATASETS[name].written for name in names)
    return names if len(names) > 1 and known and len(set(names)) == len(names) else ()


@functools.cache
def union_info(parts: tuple[str, ...]) -> DatasetInfo:
    """What several datasets say of themselves together."""
    infos = [DATASETS[name] for name in parts]
    fields: dict[str, Any] = {
        info.name: (dict[str, Any], Field({}, description=f"options of {info.name}")) for info in infos
    }
    return DatasetInfo(
        name=JOINED.join(parts),
        title=" + ".join(info.title for info in infos),
        free=all(info.free for info in infos),
        about=f"{' and '.join(info.title for info in infos)} as one, labels mapped by name",
        licence="; ".join(f"{info.name}: {info.licence}" for info in infos),
        homepage=infos[0].homepage,
        citation="\n\n".join(info.citation for info in infos),
        how_to_get=" ".join(info.how_to_get for info in infos),
        unverified="; ".join(f"{info.name}: {info.unverified}" for info in infos if info.unverified),
        datamodule="fer_bench.datasets.union:UnionDataModule",
        options=create_model("UnionOptions", __base__=UnionOptions, **fields),
        default_task=infos[0].default_task,
        picture=infos[0].picture,
        small_faces=all(info.small_faces for info in infos),
    )
