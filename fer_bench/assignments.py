"""What users type, as values of settings: ``KEY=VALUE`` pairs, and flags, which are read alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from fer_bench.class_sets import OPTION
from fer_bench.errors import SpecError
from fer_bench.spec import shortened


class _Text(yaml.BaseLoader):
    """YAML whose scalars are text, but for a plain ``null``: the folders ``01``, ``no`` and ``1e3`` are called so; a
    name that is given twice is an error.
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


def kinds_of(annotation: Any) -> tuple[Any, ...]:
    """What a field's value may be: plain types, ``dict``, ``tuple``, ``Literal[...]``; None as its type."""
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in kinds_of(part))
    return (annotation if get_origin(annotation) is Literal else get_origin(annotation) or annotation,)


def read_setting(model: type[BaseModel], name: str, text: str) -> Any:
    """What a text means as the value of a field; whether it may be is said where the settings are checked.

    Args:
        model: the settings.
        name: of the field; one that the model does not have is read as YAML.
        text: as it was typed.

    Raises:
        SpecError: it cannot be read, or is empty where a text is not meant.
    """
    kinds = kinds_of(model.model_fields[name].annotation) if name in model.model_fields else ()
    if any(kind is str or get_origin(kind) is Literal for kind in kinds):
        return text
    if kinds and not text.strip():
        problem = f"{name}: no value is given."
        raise SpecError(problem, "Give one, or leave the setting out.")
    if tuple in kinds and not text.lstrip().startswith("["):
        return [_scalar(part, name) for part in text.split(",")]
    value = _scalar(text, name)
    if isinstance(value, str) and value.lower() == "none" and type(None) in kinds:
        return None
    return float(value) if float in kinds and isinstance(value, int) and not isinstance(value, bool) else value


def parse_assignments(assignments: Iterable[str], model: type[BaseModel] | None = None) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; dots reach into options (``augment_options.rotate=10``); values are YAML scalars.

    Args:
        assignments: as they were typed.
        model: whose fields are read as :func:`read_setting` does.

    Raises:
        SpecError: no ``=``, or an unreadable value.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            problem = f"--set {assignment!r}: expected KEY=VALUE."
            raise SpecError(problem, "For example --set augment_options.rotate=10.")
        value = _scalar(text, key)
        if model is not None and key in model.model_fields:
            # A text in quotes is what is in them.
            meant = read_setting(model, key, text)
            value = value if isinstance(meant, str) and (value is None or isinstance(value, str)) else meant
        outer, dot, inner = key.partition(".")
        if not outer or (dot and not inner) or (dot and not isinstance(settings.get(outer, {}), dict)):
            problem = f"--set {assignment!r}: {key!r} is no setting, or no option of one."
            raise SpecError(problem, "For example --set augment_options.rotate=10.")
        if dot:
            settings.setdefault(outer, {})[inner] = value
        else:
            settings[outer] = value
    return settings


def _scalar(text: str, key: str) -> Any:
    try:
        value = yaml.load(text, Loader=_Text if key == OPTION else yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        problem = f"--set {key}: the value {shortened(text)} cannot be read."
        raise SpecError(problem, "Quote it.") from None
    # YAML 1.1 reads 1e-3 as text; every user means the number, unless it is quoted.
    if isinstance(value, str) and value == text.strip():
        with contextlib.suppress(ValueError):
            value = float(value)
    return value


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
