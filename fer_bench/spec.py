"""RunSpec: everything that decides a result; and the one place that reads YAML.

The digest covers the fields that differ from the defaults written here, so a field that is added later with a neutral
default leaves the identity of older runs alone. For the same reason a default in this file is never changed; what a
user gets by default stands in ``benchmarks/defaults.yaml``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from fer_bench.class_sets import OPTION
from fer_bench.cross_validation import Folding, folding_of
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.own_data import settle
from fer_bench.pinning import PINNED, pinned
from fer_bench.protocols import Protocol, declared, protocol_for
from fer_bench.registry import unknown_name

Scalar = bool | int | float | str | None
Options = dict[str, Scalar | list[Scalar]]
# The weights that a command asks for where it leaves the choice to what can be had here.
AUTO = "auto"
# Of a dataset: folders are mapped to classes.
DatasetOptions = dict[str, Scalar | list[Scalar] | dict[str, Scalar]]
# One line, short enough to be shown.
Name = Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=200)]
_LONGEST = 120
# What is wrong with a file of brackets within brackets, of which the readers of YAML and JSON tell only that they gave
# up.
TOO_DEEP = "nested too deeply"


class Execution(BaseModel):
    """How and where a run is carried out; changes no result, so it is not part of the digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: str | None = None
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1)
    num_nodes: int = Field(1, ge=1)
    strategy: str = "auto"
    workers: int = Field(-1, ge=-1, description="loader processes; -1 chooses per accelerator")
    strict_determinism: bool = False
    wandb: Literal["off", "offline", "online"] = "off"
    max_memory_halvings: int = Field(3, ge=0)
    labels_file: str | None = Field(
        None, description="where the label file is that the digest in ``labels`` stands for"
    )
    table_file: str | None = Field(None, description="where the table of ``table:NAME`` is")
    files: dict[str, str] = Field(
        {},
        description=(
            "where the files are that other digests in the settings stand for (weights, a face detector's model)"
        ),
    )

    def place_of(self, pinned: str) -> str:
        """Path of the file that a setting such as ``sha256:0123456789ab`` stands for; any other setting as it is.

        Raises:
            MissingDataError: nobody has said where that file is.
        """
        if not pinned.startswith(PINNED):
            return pinned
        if pinned not in self.files:
            problem = f"the file {pinned} is not known on this machine."
            raise MissingDataError(problem, "Give the command again with the path of the file.")
        return self.files[pinned]


class RunSpec(BaseModel):
    """One run: dataset, task, model, seed, and how it is trained and tested. Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # what
    dataset: Name = "synthfaces"
    dataset_options: DatasetOptions = {}
    task: Name = "fer7"
    model: Name = "five_layer_cnn"
    model_options: Options = {}
    weights: str = "none"
    image_size: int | None = Field(
        None, ge=8, le=1024, description="side of the network's input, in pixels; None: as the dataset gives it"
    )
    normalization: Literal["auto", "imagenet", "centred", "symmetric", "clip", "unit"] = "auto"
    seed: int = Field(0, ge=0, lt=2**31)
    # training
    epochs: int = Field(30, gt=0)
    batch_size: int = Field(128, gt=1, description="effective batch over all devices")
    optimizer: str = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    optimizer_options: Options = {}
    schedule: str = "one_cycle"
    schedule_options: Options = {}
    loss: str = "cross_entropy"
    loss_options: Options = {}
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    target_mode: Literal["hard", "probability", "cross_entropy", "multi_target"] = "hard"
    labels: str = Field(
        "",
        description=(
            "a label file (a consensus of raters) whose labels replace the dataset's own in training; kept as its"
            " digest"
        ),
    )
    augment: str = "none"
    augment_options: Options = {}
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
    mix_probability: float = Field(1.0, gt=0, le=1, description="of a batch to be mixed")
    mix_until: float = Field(1.0, gt=0, le=1, description="share of the epochs after which images are no longer mixed")
    steps_per_epoch: int = Field(
        0,
        ge=0,
        description="optimiser steps after which an epoch ends, on images drawn anew each time; 0: after all images",
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
            "rising: from none to the full rates; early: full rates down to none by the middle of training; late: none"
            " before the middle"
        ),
    )
    gradient_clip: float = Field(0.0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1, description="decay of an exponential moving average of the weights; 0: none")
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    method: Literal["plain", "multitask", "two_stage", "distill"] = "plain"
    method_options: Options = {}
    # testing
    tta: int = Field(0, ge=0, le=100, description="views of test-time augmentation; 0: the image as it is")
    tta_kind: Literal["random", "flip", "five_crop", "ten_crop"] = "random"
    snapshot: str = Field(
        "best",
        pattern=r"^(best|last|epoch_[1-9][0-9]*)$",
        description="weights that are tested: of the best, the last or a numbered epoch",
    )
    # naming and execution: not part of the digest
    recipe: Name = Field("", description="a short name of the settings, shown beside the model")
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
        """The protocol by which the run is judged."""
        return protocol_for(self.dataset, self.task, self.folding.by if self.folding else "")

    @property
    def protocol(self) -> str:
        """Name of that protocol."""
        return self.judge.name

    @property
    def folding(self) -> Folding | None:
        """How ``dataset_options`` cut the dataset into folds, if they do."""
        return folding_of(self.dataset_options)

    def identity(self) -> dict[str, Any]:
        """What the run is, as plain types, without its seed, its name and where it is carried out."""
        return self.model_dump(mode="json", exclude={"seed", "recipe", "execution"}, exclude_defaults=True)

    def digest(self) -> str:
        """Ten hexadecimal digits that stand for :meth:`identity`: the same for all seeds of one row."""
        return _digest(self.identity())

    def run_id(self) -> str:
        """Name of the run's record."""
        return f"{self.digest()}-s{self.seed}"

    def training_id(self) -> str:
        """Name of the training: runs that differ only in how they are tested share it."""
        plain = self.model_copy(update={"tta": 0, "tta_kind": "random", "snapshot": "best"})
        return plain.run_id()


def _digest(identity: Mapping[str, Any]) -> str:
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:10]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        SpecError: the file is missing, is no YAML, or is no mapping; names file and line.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = f"there is no file {path}."
        raise SpecError(problem, "Check the name.") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{path} cannot be read: {error}."
        raise SpecError(problem) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = f"{path}{line}: not valid YAML ({getattr(error, 'problem', None) or 'syntax error'})."
        raise SpecError(problem) from None
    except (RecursionError, ValueError) as error:
        problem = (
            f"{path}: cannot be read as YAML"
            f" ({TOO_DEEP if isinstance(error, RecursionError) else str(error).splitlines()[0]})."
        )
        raise SpecError(problem) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        problem = f"{path}: expected a mapping of settings, found a {type(content).__name__}."
        raise SpecError(problem)
    return content


def build(settings: Mapping[str, Any], where: str = "the settings") -> RunSpec:
    """Check settings and freeze them.

    Args:
        settings: as :func:`fer_bench.layering.layered` returns them.
        where: what is being read, for the error.

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


def spec_error(error: ValidationError, where: str, model: type[BaseModel] = RunSpec) -> SpecError:
    """Turn pydantic's findings into one line that names the key, the value and what would be right."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fields = Execution.model_fields if key.startswith("execution.") else model.model_fields
        unknown = unknown_name("setting", key.removeprefix("execution."), fields)
        problem = f"{where}: {unknown.problem}"
        return SpecError(problem, unknown.hint)
    more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    problem = f"{where}: {key} = {_short(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}.{more}"
    return SpecError(problem, "Correct the value.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class _Text(yaml.BaseLoader):
    """YAML whose scalars are text, but for a plain ``null``: the folders ``01``, ``no`` and ``1e3`` are called so; a
    name that stands twice is an error.
    """

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        return None if node.style is None and node.value in ("null", "~", "") else node.value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        pairs = [(self.construct_object(key, deep), self.construct_object(value, deep)) for key, value in node.value]
        names = [str(key) for key, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            problem = f"{OPTION}: {twice!r} is named twice."
            raise SpecError(problem, "Name each folder once.")
        return dict(pairs)


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; dots reach into options (``augment_options.rotate=10``); values are YAML scalars.

    Raises:
        SpecError: no ``=``, or an unreadable value.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            problem = f"--set {assignment!r}: expected KEY=VALUE."
            raise SpecError(problem, "For example --set augment_options.rotate=10.")
        try:
            value = yaml.load(text, Loader=_Text if key == OPTION else yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError, ValueError):
            problem = f"--set {key}: the value {_short(text)} cannot be read."
            raise SpecError(problem, "Quote it.") from None
        # YAML 1.1 reads 1e-3 as text; every user means the number, unless it is quoted.
        if isinstance(value, str) and value == text.strip():
            with contextlib.suppress(ValueError):
                value = float(value)
        outer, dot, inner = key.partition(".")
        if not outer or (dot and not inner) or (dot and not isinstance(settings.get(outer, {}), dict)):
            problem = f"--set {assignment!r}: {key!r} is no setting, or no option of one."
            raise SpecError(problem, "For example --set augment_options.rotate=10.")
        if dot:
            settings.setdefault(outer, {})[inner] = value
        else:
            settings[outer] = value
    return settings


def dataset_options(assignments: list[str] | None) -> dict[str, Any]:
    """The options of a dataset among ``KEY=VALUE`` pairs, for what takes no other setting.

    Raises:
        SpecError: an unreadable value, or a setting of something else.
    """
    settings = parse_assignments(assignments or [])
    options = settings.pop("dataset_options", {})
    if settings or not isinstance(options, dict):
        problem = f"--set {next(iter(settings), 'dataset_options')}: only options of the dataset can be set here."
        raise SpecError(problem, "For example --set dataset_options.folds=5.")
    return options
