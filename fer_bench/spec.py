"""RunSpec: every setting that affects a result; and the only reader of YAML.

The digest covers the fields that differ from the defaults written here, so a field that is added later with a neutral
default does not change the digest of older runs. For the same reason a default in this file is never changed; what
users get by default is in ``benchmarks/defaults.yaml``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fer_bench import yaml_lines
from fer_bench.cross_validation import Folding, folding_of
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.findings import like, reason
from fer_bench.own_data import settle
from fer_bench.pinning import PINNED, pinned
from fer_bench.protocols import Protocol, declared, protocol_for
from fer_bench.registry import unknown_name

Scalar = bool | int | float | str | None
Options = dict[str, Scalar | list[Scalar]]
# What is read, for an error; or what says it of one setting.
Where = str | Callable[[yaml_lines.KeyPath], str]
# The weights that a command asks for where it leaves the choice to what can be had here.
AUTO = "auto"
# Options of a dataset may also map folders to classes.
DatasetOptions = dict[str, Scalar | list[Scalar] | dict[str, Scalar]]
# One line, short enough to be shown.
Name = Annotated[str, StringConstraints(max_length=200), like(r"[^\r\n]*", "one line")]
# What Weights & Biases accepts as a name in an address, and as a tag.
WandbName = Annotated[
    str, StringConstraints(max_length=128), like(r"[^/\\#?%:\s]+", "a name without spaces and / \\ # ? % :")
]
Tag = Annotated[str, StringConstraints(max_length=64), like(r"[^\r\n,]+", "a word or more, without commas")]
# Fields that name a run, tell of its history or place it: none of them changes its result.
NO_SETTINGS = frozenset({"seed", "recipe", "trials", "execution"})
_LONGEST = 120


class Settings(BaseModel):
    """Settings whose numbers are numbers: YAML reads ``yes`` and ``on`` as true, which Python counts as 1."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            message = "input should not be true or false"
            raise ValueError(message)
        return value


class Execution(Settings):
    """How and where a run is executed; does not affect the result, so it is not part of the digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: str | None = Field(None, description="where the data are")
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = Field("auto", description="what computes")
    devices: int = Field(1, ge=1, description="devices per node")
    num_nodes: int = Field(1, ge=1, description="nodes")
    strategy: str = Field("auto", description="Lightning's strategy: auto, ddp, ...")
    workers: int = Field(-1, ge=-1, description="loader processes; -1 chooses per accelerator")
    images: Literal["auto", "stream", "packed"] = Field(
        "auto",
        description=(
            "where images of files come from: stream: decoded when they are needed; packed: from a packed copy, which"
            " is made first; auto: from a packed copy where there is one, else from a decoded copy where that is small"
        ),
    )
    strict_determinism: bool = Field(False, description="refuse operations that do not repeat bit for bit")
    wandb: Literal["off", "offline", "online"] = Field("off", description="log to Weights & Biases")
    wandb_project: WandbName = Field("fer_bench", description="project of the Weights & Biases run")
    wandb_entity: WandbName | None = Field(
        None, description="user or team of the Weights & Biases run; None: the account's own"
    )
    wandb_tags: tuple[Tag, ...] = Field(
        (), description="tags of the Weights & Biases run, beside those of its dataset, task and suite"
    )
    logger: Literal["csv", "tensorboard", "both", "none"] = Field(
        "csv", description="what writes each epoch's scores into the run's folder"
    )
    max_memory_halvings: int = Field(
        3, ge=0, description="how often a batch that does not fit into memory may be halved"
    )
    labels_file: str | None = Field(
        None, description="where the label file is that the digest in ``labels`` stands for"
    )
    table_file: str | None = Field(None, description="where the table of ``table:NAME`` is")
    files: dict[str, str] = Field(
        {},
        description=("paths of the files whose digests are in the settings (weights, a face detector's model)"),
    )

    def place_of(self, pinned: str) -> str:
        """Path of the file that a setting such as ``sha256:0123456789ab`` refers to, or of the checkpoint of ``run:ID``
        once it has been looked for; any other setting unchanged.

        Raises:
            MissingDataError: the path of that file is not known.
        """
        if not pinned.startswith(PINNED):
            return self.files.get(pinned, pinned)
        if pinned not in self.files:
            problem = f"the file {pinned} is not known on this machine."
            raise MissingDataError(problem, "Run the command again with the path of the file.")
        return self.files[pinned]


class RunSpec(Settings):
    """One run: dataset, task, model, seed, and how it is trained and tested. Frozen; unknown keys are errors."""

    # Older pydantic warns of `model_options` otherwise.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    # what
    dataset: Name = Field("synthfaces", description="dataset: fer2013, ferplus, folder:NAME, table:FILE, ...")
    dataset_options: DatasetOptions = Field({}, description="options of the dataset")
    task: Name = Field("fer7", description="task: fer7, fer8, va, ...")
    model: Name = Field("five_layer_cnn", description="network: five_layer_cnn, resnext101, timm:NAME, ...")
    model_options: Options = Field({}, description="options of the network")
    temporal: Literal["none", "gru", "tcn", "transformer"] = Field(
        "none",
        description=(
            "over the network's features of a clip's frames, in their order: none: each frame by itself; gru; tcn:"
            " temporal convolutions; transformer: attention within a window"
        ),
    )
    temporal_options: Options = Field(
        {}, description="options of the temporal model, such as width, layers, causal; batches are of whole clips"
    )
    weights: str = Field(
        "none",
        description=(
            "weights to begin with: imagenet (a folder's, a package's or a hub's), none, auto (imagenet where it can be"
            " had), a file, or run:ID (of a cross-validation the run of the same fold)"
        ),
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="side of the network's input, in pixels; None: as the dataset gives it"
    )
    aspect: Literal["square", "keep"] = Field(
        "square",
        description=(
            "of images that are not square: square stretches them to image_size; keep keeps their proportions, and"
            " image_size is the shorter side"
        ),
    )
    normalization: Literal["auto", "imagenet", "centred", "symmetric", "clip", "unit"] = Field(
        "auto", description="constants by which pixels are scaled"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of everything random")
    # training
    epochs: int = Field(30, gt=0, description="how often all training images are seen")
    batch_size: int = Field(
        128, gt=1, description="effective batch over all devices; of clips where a model is temporal"
    )
    optimizer: str = Field("adamw", description="optimizer by name (`fer-bench list optimizers`)")
    lr: float = Field(1e-3, gt=0, description="learning rate; under a schedule its peak")
    weight_decay: float = Field(0.01, ge=0, description="decay of the weights")
    optimizer_options: Options = Field({}, description="options of the optimizer; sam=RADIUS looks for flat minima")
    schedule: str = Field("one_cycle", description="schedule of the learning rate (`fer-bench list schedules`)")
    schedule_options: Options = Field({}, description="options of the schedule")
    loss: str = Field("cross_entropy", description="loss by name (`fer-bench list losses`)")
    loss_options: Options = Field({}, description="options of the loss")
    class_weights: Literal["none", "balanced"] = Field("none", description="weights of the classes in the loss")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label that is spread over all classes")
    target_mode: Literal["hard", "probability", "cross_entropy", "multi_target"] = Field(
        "hard", description="what FER+'s votes become as targets"
    )
    labels: str = Field(
        "",
        description=(
            "a label file (a consensus of raters) whose labels replace the dataset's own in training; kept as its"
            " digest"
        ),
    )
    value_scale: Literal["unit", "dataset"] = Field(
        "unit",
        description=(
            "of values, in training: unit: -1 to 1, whatever the dataset; dataset: its own units, in which gradients"
            " are larger"
        ),
    )
    augment: str = Field("none", description="augmentation by name (`fer-bench list augmentations`)")
    augment_options: Options = Field({}, description="options of the augmentation, on top of the named one's")
    augment_on: Literal["loader", "device"] = Field(
        "loader",
        description=(
            "loader: image by image, by albumentations; device: batch by batch on the accelerator, by PyTorch, many"
            " times faster"
        ),
    )
    mixup: float = Field(
        0.0,
        ge=0,
        description="parameter of the Beta distribution by which pairs of images and their labels are mixed; 0: none",
    )
    cutmix: float = Field(
        0.0,
        ge=0,
        description="the same for a rectangle of another image; with mixup too, each batch gets one of the two",
    )
    mix_probability: float = Field(1.0, gt=0, le=1, description="probability of a batch to be mixed")
    mix_until: float = Field(1.0, gt=0, le=1, description="share of the epochs after which images are no longer mixed")
    steps_per_epoch: int = Field(
        0,
        ge=0,
        description="optimiser steps after which an epoch ends, on images sampled anew each time; 0: after all images",
    )
    early_stopping: int = Field(
        0, ge=0, description="epochs without improvement on validation before training ends; 0: never"
    )
    stopper: Literal["patience", "findingemo"] = Field(
        "patience",
        description=(
            "patience: early_stopping epochs on the metric that selects; findingemo: its paper's rule, early_stopping 0"
            " means its 6 epochs"
        ),
    )
    progressive_from: int | None = Field(
        None,
        ge=8,
        description=(
            "side of the network's input in the first epochs; it grows to image_size over the first three quarters of"
            " training; None: no"
        ),
    )
    progressive_step: int = Field(
        4, ge=1, description="pixels by which it grows; a multiple of what the network halves its input to is fastest"
    )
    dropout_schedule: Literal["constant", "rising", "early", "late"] = Field(
        "constant",
        description=(
            "constant: the full rates; rising: from none to these; early: down to none by the middle of training; late:"
            " none before the middle"
        ),
    )
    freeze: Annotated[str, like("none|backbone|[1-9][0-9]?", "none, backbone or a number of stages from 1 to 99")] = (
        Field(
            "none",
            description=(
                "what keeps its weights: backbone, all but the head; a number, so many stages from the input on; frozen"
                " norms keep their statistics too"
            ),
        )
    )
    unfreeze_every: int = Field(
        0,
        ge=0,
        description="epochs after which the last frozen stage begins to train, one stage after the other; 0: never",
    )
    backbone_lr: float | None = Field(
        None, gt=0, description="learning rate of all but the head, which has lr; None: lr"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the learning rate from stage to stage, from the head to the input"
    )
    gradient_clip: float = Field(0.0, ge=0, description="largest norm of the gradient; 0: any")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of an exponential moving average of the weights; 0: none")
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = Field(
        "auto", description="precision of numbers in training and testing"
    )
    method: Literal["plain", "multitask", "two_stage", "distill"] = Field(
        "plain",
        description="plain; multitask and two_stage, which reconstruct too; distill, from trained runs",
    )
    method_options: Options = Field({}, description="options of the method, such as teachers")
    # testing
    tta: int = Field(0, ge=0, le=100, description="views of test-time augmentation; 0: the image as it is")
    tta_kind: Literal["random", "flip", "five_crop", "ten_crop"] = Field("random", description="what the views are")
    snapshot: Annotated[str, like("best|last|epoch_[1-9][0-9]*", "best, last or an epoch such as epoch_10")] = Field(
        "best",
        description="weights that are tested: of the best, the last or a numbered epoch",
    )
    # naming and execution: not part of the digest
    recipe: Name = Field("", description="a short name of the settings, shown next to the model")
    trials: int = Field(
        0,
        ge=0,
        description="how many settings were tried on validation before these were chosen; `fer-bench tune` states it",
    )
    execution: Execution = Execution()

    @model_validator(mode="before")
    @classmethod
    def _settled(cls, values: Any) -> Any:
        return settle(values) if isinstance(values, Mapping) else values

    @field_validator("weights")
    @classmethod
    def _resolved(cls, value: str) -> str:
        if value == AUTO:
            message = "is resolved by `fer-bench run` alone; write imagenet, none, or the path of a file"
            raise ValueError(message)
        return value

    @property
    def judge(self) -> Protocol:
        """The protocol under which the run is scored."""
        return protocol_for(self.dataset, self.task, self.folding.by if self.folding else "", self.dataset_options)

    @property
    def protocol(self) -> str:
        """Name of that protocol."""
        return self.judge.name

    @property
    def folding(self) -> Folding | None:
        """How ``dataset_options`` split the dataset into folds, if they do."""
        return folding_of(self.dataset_options)

    def identity(self) -> dict[str, Any]:
        """The settings that identify the run, as plain types, without seed, name and execution."""
        return self.model_dump(mode="json", exclude=set(NO_SETTINGS), exclude_defaults=True)

    def digest(self) -> str:
        """Ten hexadecimal digits that identify :meth:`identity`: the same for all seeds of one row."""
        return _digest(self.identity())

    def run_id(self) -> str:
        """Name of the run's record."""
        return f"{self.digest()}-s{self.seed}"

    def training_id(self) -> str:
        """Id of the training: runs that differ only in how they are tested share it."""
        plain = self.model_copy(update={"tta": 0, "tta_kind": "random", "snapshot": "best"})
        return plain.run_id()


def _digest(identity: Mapping[str, Any]) -> str:
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:10]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping, as :func:`fer_bench.yaml_lines.read_yaml` does, where nobody asks for its lines."""
    return yaml_lines.read_yaml(path).content


def build(settings: Mapping[str, Any], where: Where = "the settings") -> RunSpec:
    """Check settings and freeze them.

    Args:
        settings: as :func:`fer_bench.layering.layered` returns them.
        where: what is being read, for the error; or what says it of a setting, from the path of its key.

    Raises:
        SpecError: an unknown key or option of the dataset (with a suggestion), or a value out of range.
    """
    try:
        spec = RunSpec.model_validate(pinned(settings))
    except ValidationError as error:
        raise spec_error(error, where) from None
    if (info := declared(spec.dataset)) is not None:
        info.read_options(spec.dataset_options)
    return spec


def spec_error(error: ValidationError, where: Where, model: type[BaseModel] = RunSpec) -> SpecError:
    """Turn pydantic's findings into one line that names the key, the value and what would be right."""
    first = error.errors()[0]
    where = where if isinstance(where, str) else where(first["loc"])
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fields = Execution.model_fields if key.startswith("execution.") else model.model_fields
        unknown = unknown_name("setting", key.removeprefix("execution."), fields)
        problem = f"{where}: {unknown.problem}"
        return SpecError(problem, unknown.hint)
    more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    problem = f"{where}: {key} = {shortened(first['input'])}: {reason(first)}.{more}"
    return SpecError(problem, "Correct the value.")


def shortened(value: Any) -> str:
    """A value as it stands in an error."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
