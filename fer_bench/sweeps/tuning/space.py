"""What a search may vary: settings with their values; pure.

As typed, one setting a text, and as YAML, all of them in a file::

    lr=1e-4:1e-2:log             lr: {low: 1e-4, high: 1e-2, log: true}
    batch_size=32,64,128         batch_size: [32, 64, 128]
    augment_options.rotate=0:30  augment_options.rotate: {low: 0, high: 30}
    epochs=10:30:5               epochs: {low: 10, high: 30, step: 5}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_bench.assignments import kinds_of, parse_assignments
from fer_bench.errors import SpecError
from fer_bench.protocols import Protocol
from fer_bench.registry import unknown_name
from fer_bench.spec import NO_SETTINGS, RunSpec, build
from fer_bench.yaml_lines import read_yaml

# What is compared, and how it is tested, is no matter of training.
_FIXED = NO_SETTINGS | {"dataset", "dataset_options", "task", "tta", "tta_kind", "snapshot", "labels"}
_EXAMPLE = "For example --search lr=1e-4:1e-2:log, or --search batch_size=32,64."
_LOG = "log"
_BY_VALUE = frozenset({"bool", "int", "float", "str"})


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[bool | int | float | str, ...]

    def ends(self) -> tuple[Any, ...]:
        """Values that must be possible, for all to be."""
        return self.values

    def plain(self) -> Any:
        """As YAML has it."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A number between two others, both included.

    Args:
        low: the least.
        high: the greatest.
        log: its logarithm is what is searched.
        step: between neighbours; None: any, of whole numbers 1.
        whole: a whole number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def ends(self) -> tuple[Any, ...]:
        """Values that must be possible, for all to be."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def plain(self) -> Any:
        """As YAML has it."""
        low, high = self.ends()
        more: dict[str, Any] = {"log": True} if self.log else {}
        if self.step is not None:
            more["step"] = int(self.step) if self.whole else self.step
        return {"low": low, "high": high, **more}


Space = dict[str, Choice | Range]


def read_space(file: Path) -> Space:
    """The search space of a YAML file.

    Raises:
        SpecError: with file and line.
    """
    source = read_yaml(file)
    return space_of(source.content, lambda name: source.where((name,)))


def space_of(content: Mapping[str, Any], where: Callable[[str], str]) -> Space:
    """The search space that a mapping describes, as YAML has it.

    Args:
        content: by setting.
        where: says where a setting stands, for errors.

    Raises:
        SpecError: one that cannot be read.
    """
    return {str(name): _entry(str(name), part, where(str(name))) for name, part in content.items()}


def parse_space(texts: Iterable[str]) -> Space:
    """The search space that was typed, one setting a text.

    Raises:
        SpecError: one that cannot be read.
    """
    found: Space = {}
    for text in texts:
        name, equals, values = text.partition("=")
        where = f"--search {text!r}"
        if not equals or not name or not values:
            problem = f"{where}: expected KEY=VALUES."
            raise SpecError(problem, _EXAMPLE)
        found[name] = _entry(name, _typed(values, name), where)
    return found


def _typed(text: str, name: str) -> Any:
    low, colon, rest = text.partition(":")
    if not colon:
        return [_value(name, part) for part in text.split(",")]
    high, _, more = rest.partition(":")
    content = {"low": _value(name, low), "high": _value(name, high)}
    return content | ({} if not more else {"log": True} if more == _LOG else {"step": _value(name, more)})


def _value(name: str, text: str) -> Any:
    return next(iter(parse_assignments([f"{name.replace('.', '_')}={text}"]).values()))


def _entry(name: str, content: Any, where: str) -> Choice | Range:
    field = name.partition(".")[0]
    if field not in RunSpec.model_fields:
        unknown = unknown_name("setting", field, set(RunSpec.model_fields) - _FIXED)
        problem = f"{where}: {unknown.problem}"
        raise SpecError(problem, unknown.hint)
    if field in _FIXED:
        problem = f"{where}: {name} decides what is compared, or how it is tested, and is not searched for."
        raise SpecError(problem, "Set it, as `fer-bench run` takes it.")
    if isinstance(content, list):
        if len(set(map(repr, content))) < 2 or not all(type(value).__name__ in _BY_VALUE for value in content):
            problem = f"{where}: {name} needs two or more different values, each a number, a word, true or false."
            raise SpecError(problem, _EXAMPLE)
        return Choice(tuple(content))
    if not isinstance(content, Mapping):
        problem = f"{where}: {name} must be a list of values, or a mapping with low and high."
        raise SpecError(problem, _EXAMPLE)
    return _range(name, content, where)


def _range(name: str, content: Mapping[str, Any], where: str) -> Range:
    for key in content:
        if key not in ("low", "high", _LOG, "step"):
            unknown = unknown_name("key", str(key), ("low", "high", _LOG, "step"))
            problem = f"{where}: {unknown.problem}"
            raise SpecError(problem, unknown.hint)
    numbers = [_number(content.get(key), name, where) for key in ("low", "high")]
    low, high = numbers
    log, step = content.get(_LOG, False), content.get("step")
    if not isinstance(log, bool) or not low < high or (log and (low <= 0 or step is not None)):
        problem = f"{where}: {name} from {low:g} to {high:g} is no range{' of logarithms' if log else ''}."
        raise SpecError(problem, "low must be less than high; with log: greater than 0, and without step.")
    step = None if step is None else _number(step, name, where)
    if step is not None and not 0 < step <= high - low:
        problem = f"{where}: step {step:g} does not lead from {low:g} to {high:g}."
        raise SpecError(problem, _EXAMPLE)
    given = [content["low"], content["high"], *([] if step is None else [content["step"]])]
    integers = all(isinstance(value, int) for value in given)
    kinds = () if "." in name else kinds_of(RunSpec.model_fields[name].annotation)
    if int in kinds and not integers:
        problem = f"{where}: {name} is a whole number."
        raise SpecError(problem, _EXAMPLE)
    return Range(low, high, log, step, whole=integers and float not in kinds)


def _number(value: Any, name: str, where: str) -> float:
    try:
        if isinstance(value, bool) or value is None:
            raise ValueError
        # YAML 1.1 reads 1e-3 as text.
        return float(value)
    except (TypeError, ValueError):
        problem = f"{where}: {name}: {value!r} is no number."
        raise SpecError(problem, _EXAMPLE) from None


def default_space(spec: RunSpec, protocol: Protocol) -> Space:
    """What is usually worth varying of a training, around the settings that it has.

    Learning rate, decay, batch size and augmentation of any; label smoothing of classes; the rates of lower stages of
    networks that do not begin at random. Epochs stay.

    Args:
        spec: the settings.
        protocol: says what kind of task it is.
    """
    tuned = spec.weights != "none"
    space: Space = {"lr": Range(spec.lr / 10, spec.lr * (3 if tuned else 10), log=True)}
    if spec.weight_decay:
        space["weight_decay"] = Range(spec.weight_decay / 30, min(spec.weight_decay * 10, 0.5), log=True)
    space["batch_size"] = Choice(
        tuple(n for n in (spec.batch_size // 2, spec.batch_size, spec.batch_size * 2) if n > 1)
    )
    # Options belong to one augmentation; frozen features are computed of images as they are.
    if not spec.augment_options and not (spec.temporal != "none" and spec.freeze == "backbone"):
        stronger = ("rand_faces",) if spec.augment_on == "device" else ()
        space["augment"] = Choice(tuple(dict.fromkeys((spec.augment, "flip", "standard", "strong", *stronger))))
    if protocol.task.kind == "classes" and spec.loss == "cross_entropy" and spec.target_mode == "hard":
        space["label_smoothing"] = Range(0.0, 0.2, step=0.05)
    if tuned and spec.freeze == "none" and spec.layer_decay == 1:
        space["layer_decay"] = Choice((1.0, 0.85, 0.7))
    return space


def start_of(spec: RunSpec, space: Space) -> dict[str, Any] | None:
    """The point of a space that the settings themselves are; None where they are outside."""
    point = {name: _get(spec, name) for name in space}
    return point if all(_contains(part, point[name]) for name, part in space.items()) else None


def _contains(part: Choice | Range, value: Any) -> bool:
    if isinstance(part, Choice):
        return value in part.values
    if isinstance(value, bool) or not isinstance(value, int | float) or not part.low <= value <= part.high:
        return False
    steps = (value - part.low) / part.step if part.step else 0.0
    return abs(steps - round(steps)) < 1e-9


def _get(spec: RunSpec, name: str) -> Any:
    outer, dot, inner = name.partition(".")
    value = getattr(spec, outer)
    return value.get(inner) if dot else value


def at(spec: RunSpec, point: Mapping[str, Any], where: str) -> RunSpec:
    """Settings at a point of a search space.

    Raises:
        SpecError: a value that cannot be.
    """
    settings = spec.model_dump(mode="json", exclude={"execution"})
    for name, value in point.items():
        outer, dot, inner = name.partition(".")
        settings[outer] = {**settings[outer], inner: value} if dot else value
    return build({**settings, "execution": spec.execution}, where)


def corners(space: Space) -> Iterator[tuple[str, Any]]:
    """Each setting with each value that must be possible."""
    for name, part in space.items():
        for value in part.ends():
            yield name, value
