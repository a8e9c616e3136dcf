"""ProbeSettings: everything that decides a grid of linear heads on frozen features; torch-free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from fer_bench.cross_validation import Folding, folding_of
from fer_bench.layering import layered
from fer_bench.own_data import settle
from fer_bench.pinning import NAMED_WEIGHTS, pin
from fer_bench.probes.head import losses_for
from fer_bench.protocols import Protocol, find_task, protocol_for
from fer_bench.spec import DatasetOptions, Execution, Settings, Where, spec_error
from fer_bench.tasks.rules_findingemo import MAX_EPOCHS, PATIENCE

# The paper's grid (Mertens et al. 2024, section 3).
RATES = (0.1, 0.01, 0.001, 0.0001)
BOTH_LOSSES = ("cross_entropy", "unbalanced_cross_entropy")
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)
EMONET = "emonet-kragel"


class ProbeSettings(Settings):
    """A grid of heads on one input, which is one stream or several put side by side.

    Args:
        streams: what the heads see, ``KIND:NAME``, see :mod:`fer_bench.probes.streams`.
        weights: where a backbone's weights come from, by its name, where that is not ``auto``.
        detector: finds the faces of stream ``faces`` where the dataset does not say where they are.
        standardise: scale each input to mean 0 and standard deviation 1 on train; streams of different kinds need it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = Field("synthscenes", description="dataset: synthscenes, findingemo, ...")
    dataset_options: DatasetOptions = Field({}, description="options of the dataset")
    task: str = Field("emo8", description="task: emo8, arousal3, va, valence, ...")
    streams: tuple[str, ...] = Field(min_length=1)
    weights: dict[str, str] = Field({})
    # Where the files are that digests in ``weights`` stand for; part of no identity and of no record.
    weights_files: dict[str, str] = Field({}, exclude=True)
    # Where the table of ``table:NAME`` is; likewise.
    table_file: str | None = Field(None, exclude=True)
    image_size: int | None = Field(
        None,
        ge=8,
        le=1024,
        description="side of the backbones' input, in pixels; None: timm's as designed, others as images are",
    )
    detector: str = Field("mediapipe", description="finds faces where the dataset does not say where they are")
    standardise: bool = Field(False, description="scale each input to mean 0 and standard deviation 1 on train")
    lr: tuple[float, ...] = Field(RATES, description="learning rates")
    loss: tuple[str, ...] = Field(
        BOTH_LOSSES,
        description="losses: cross_entropy, unbalanced_cross_entropy; of values ridge (closed form), mse, ccc, mse+ccc",
    )
    penalty: tuple[float, ...] = Field(
        PENALTIES, description="penalties of ridge, relative to the mean variance of the features"
    )
    seeds: tuple[int, ...] = Field(tuple(range(10)), description="seeds of the heads")
    resample: bool = Field(
        False, description="ridge: a bootstrap of the training samples for each seed, instead of one fit of all of them"
    )
    batch_size: int = Field(64, gt=0, description="images in a batch")
    max_epochs: int = Field(MAX_EPOCHS, gt=0, description="most epochs of a head")
    patience: int = Field(PATIENCE, gt=0, description="epochs without a new best before a head's training ends")
    # naming: not part of the digest
    recipe: str = Field("", description="a short name of the settings, shown beside the model")

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        settled = settle(values)
        if "execution" not in values and "execution" in settled:
            settled["table_file"] = settled.pop("execution")["table_file"]
        return settled

    @field_validator("streams", "lr", "loss", "penalty", "seeds")
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) != len(values):
            message = "must name at least one, and none twice"
            raise ValueError(message)
        return values

    def weights_of(self, backbone: str) -> str:
        """``auto``, ``none``, or the path of a file."""
        return Execution(files=self.weights_files).place_of(self.weights.get(backbone, "auto"))

    @property
    def folding(self) -> Folding | None:
        """The folds into which the data are split; None where the splits are given.

        Raises:
            SpecError: a number of folds out of range.
        """
        return folding_of(self.dataset_options)

    @property
    def judge(self) -> Protocol:
        """The protocol by which the heads are judged."""
        return protocol_for(self.dataset, self.task, self.folding.by if self.folding else "", self.dataset_options)

    @property
    def protocol(self) -> str:
        """Name of that protocol."""
        return self.judge.name

    @property
    def model(self) -> str:
        """Name of the rows: the backbone, or what is fused; a backbone that was never trained says so."""
        return "+".join(
            _short(stream) + ("-untrained" if self.weights.get(stream.partition(":")[2]) == "none" else "")
            for stream in self.streams
        )

    def identity(self) -> dict[str, Any]:
        """What the grid is, as plain types."""
        return self.model_dump(mode="json", exclude={"recipe"}, exclude_defaults=True)

    def grid_id(self, inputs: Mapping[str, str]) -> str:
        """Name of the grid on some inputs: checksums of one copy of the data and, where its plain name is taken by
        other weights, theirs too.
        """
        return _digest({"grid": self.identity(), "checksums": dict(inputs)})


def row_id(grid: str, head: Mapping[str, Any]) -> str:
    """Name of a row: the settings of a head of one grid, over all seeds."""
    return _digest({"grid": grid, **head})


def build_probe(values: Mapping[str, Any], where: Where = "the settings") -> ProbeSettings:
    """Check settings and freeze them.

    Raises:
        SpecError: an unknown key (with a suggestion) or a value out of range.
    """
    pinned = dict(values)
    if isinstance(weights := pinned.get("weights"), Mapping):
        places: dict[str, str] = {}
        pinned["weights"] = {
            name: value if value in NAMED_WEIGHTS else pin(str(value), "weights", places)
            for name, value in weights.items()
        }
        pinned["weights_files"] = places
    try:
        return ProbeSettings.model_validate(pinned)
    except ValidationError as error:
        raise spec_error(error, where, ProbeSettings) from None


def with_dataset_defaults(
    values: Mapping[str, Any], of_datasets: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Settings over those of the dataset's YAML file: its task and its options; and the losses that the task has a
    meaning for.

    Args:
        values: settings.
        of_datasets: what the files of datasets say, kept from one call to the next of many; is filled.
    """
    dataset = str(values.get("dataset", ProbeSettings.model_fields["dataset"].default))
    known = {} if of_datasets is None else of_datasets
    if dataset not in known:
        known[dataset] = layered({"dataset": dataset})
    layer = known[dataset]
    own: dict[str, Any] = {key: layer[key] for key in ("task", "dataset_options") if key in layer}
    options = {**own.get("dataset_options", {}), **values.get("dataset_options", {})}
    found = {**own, **values, **({"dataset_options": options} if options else {})}
    losses = losses_for(find_task(str(settle(found)["task"]))) if "task" in found else BOTH_LOSSES
    return found if losses == BOTH_LOSSES else {"loss": losses, **found}


def _short(stream: str) -> str:
    kind, _, name = stream.partition(":")
    if kind == "faces":
        return kind
    # EmoNet has nothing but predictions.
    return name if kind == "features" or name == EMONET else f"{name}-{kind}"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]
