"""Options of verbs, made from the fields of the settings: each field is a flag, read and checked as ``--set`` is, with
its description as help.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from fer_bench.assignments import kinds_of, parse_assignments, read_setting
from fer_bench.errors import SpecError
from fer_bench.layering import merge
from fer_bench.spec import Execution, build

# Title and fields of the flags of trackers, in verbs that train nothing with epochs.
TRACKING = "Tracking (changes no result)"
FIELDS = ("wandb", "wandb_project", "wandb_entity", "wandb_tags")
# In fewer columns help is hard to read; in more it is never shown.
CONTEXT = {"max_content_width": 100}
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting by its name; repeatable.")
]


class Grouped(TyperCommand):
    """A verb whose help has its options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, group by group, those that are in none last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Command"
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(shown)
        for title, rows in sorted(groups.items(), key=lambda group: (group[0] == "Command", group[0] != "Arguments")):
            with formatter.section(title):
                formatter.write_dl(rows)


def flag_of(name: str) -> str:
    """``batch_size`` is ``--batch-size``."""
    return "--" + name.replace("_", "-")


def with_fields(
    model: type[BaseModel],
    group: str | Mapping[str, str],
    *,
    only: tuple[str, ...] | None = None,
    leave: tuple[str, ...] = (),
    called: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that gives a verb one option for each field of a model; the verb gets what was typed, by field, in
    its ``**`` parameter.

    Args:
        model: the settings.
        group: title of the options in the help; or titles, each by the field with which it begins.
        only: these fields; None: all.
        leave: fields that are no options.
        called: other names of options, by field.
    """

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(verb, eval_str=True)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        options = [
            *_options(model, group, only, leave, called or {}),
            *(one.replace(kind=one.KEYWORD_ONLY) for one in own if one.default is not one.empty),
        ]
        whole = signature.replace(parameters=[*(one for one in own if one.default is one.empty), *options])
        verb.__signature__ = whole  # type: ignore[attr-defined]
        verb.__annotations__ = {one.name: one.annotation for one in options}
        return verb

    return decorate


def _options(
    model: type[BaseModel],
    group: str | Mapping[str, str],
    only: tuple[str, ...] | None,
    leave: tuple[str, ...],
    called: Mapping[str, str],
) -> Iterator[inspect.Parameter]:
    title = group if isinstance(group, str) else ""
    for name, field in model.model_fields.items():
        if not isinstance(group, str):
            title = group.get(name, title)
        if name in leave or (only is not None and name not in only):
            continue
        kinds = kinds_of(field.annotation)
        text = _help(field, kinds)
        # A run's defaults depend on its dataset and network; where it is carried out does not.
        if model is Execution and field.default is not None and bool not in kinds:
            text = f"{text} Default: {field.default}."
        more: dict[str, Any] = {"help": text, "rich_help_panel": title, "show_default": False}
        flag = flag_of(called.get(name, name))
        kind: Any = list[str] if dict in kinds else str
        if bool in kinds:
            option, kind = typer.Option(f"{flag}/--no-{flag[2:]}", **more), bool
        else:
            option = typer.Option(flag, metavar=_metavar(kinds), **more)
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )


def _metavar(kinds: tuple[Any, ...]) -> str:
    if dict in kinds:
        return "KEY=VALUE"
    if tuple in kinds:
        return "A,B,..."
    return "INT" if int in kinds else "FLOAT" if float in kinds else "TEXT"


def _help(field: FieldInfo, kinds: tuple[Any, ...]) -> str:
    text = field.description or ""
    choices = [str(choice) for kind in kinds if get_origin(kind) is not None for choice in get_args(kind)]
    sentence = text[:1].upper() + text[1:] + ("" if text.endswith("...") else ".")
    if choices and not all(f"{choice}:" in text for choice in choices):
        sentence = f"{sentence} One of {', '.join(choices[:-1])} and {choices[-1]}."
    return f"{sentence} Repeatable." if dict in kinds else sentence


def typed(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were typed as flags, read as ``--set`` reads them.

    Args:
        model: the settings.
        given: what a verb got in its ``**`` parameter; None where a flag was not given, the text elsewhere.
    """
    found: dict[str, Any] = {}
    for name, text in given.items():
        if text is None or text == []:
            continue
        if isinstance(text, list):
            found |= parse_assignments(_within(name, part) for part in text)
        else:
            found[name] = text if isinstance(text, bool) else read_setting(model, name, text)
    return found


def agreed(flags: Mapping[str, Any], sets: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """The settings of flags and of ``--set`` together.

    Args:
        flags: settings that were typed as flags.
        sets: settings that were typed with ``--set``.
        within: name of the setting whose options these are, with a dot.

    Raises:
        SpecError: one setting has two values.
    """
    for name in flags.keys() & sets.keys():
        one, other = flags[name], sets[name]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            agreed(one, other, f"{within}{name}.")
        elif one != other:
            problem = f"{within}{name} is given twice: {one!r} by its flag, and {other!r} by --set."
            raise SpecError(problem, "Give it once.")
    return merge(flags, sets)


def _within(name: str, text: str) -> str:
    """``rotate=10`` of ``--augment-options`` as ``--set`` would have it; a whole mapping in braces as it is."""
    return f"{name}={text}" if text.lstrip().startswith("{") else f"{name}.{text}"


def tracking_of(settings: Mapping[str, Any]) -> Execution:
    """How a verb that trains nothing is tracked, from the settings that :func:`typed` has read.

    Raises:
        SpecError: a value that cannot be used.
        MissingPackageError: the tracker's package is missing.
    """
    from fer_bench.tracking.session import check_packages

    execution = build({"execution": settings}, "the command line").execution
    check_packages(execution)
    return execution
