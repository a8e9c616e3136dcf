"""Every setting with its default, its values and its meaning, from the fields of the models that read them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel

from fer_bench.annotate import study as annotation_study
from fer_bench.cli.main import app
from fer_bench.models.temporal_options import OPTIONS as TEMPORAL
from fer_bench.probes.settings import ProbeSettings
from fer_bench.spec import Execution, RunSpec, read_yaml

from .markdown import arguments_of, code, first_paragraph, number, page, prose, sentence, table

ROOT = Path(__file__).resolve().parents[2]
HEADER = ("Setting", "Default", "Values", "Meaning")
_TYPES = {"boolean": "true or false", "integer": "an integer", "number": "a number", "string": "text"}
_SIGNS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "multipleOf": "multiple of",
}
_INTRODUCTION = """
A setting can be given as a flag of `fer-bench run` (`batch_size` is `--batch-size 64`), with `--set batch_size=64`, as
a keyword of `fer_bench.run(batch_size=64)`, or as a key of an entry in a [suite](suites.md). Options are mappings:
`--set model_options.width=0.5`, or `--model-options width=0.5`.

*Default* is what `fer-bench run` takes where neither the recipe of the dataset and the network nor the command says
otherwise; `--dry-run` shows what results. In brackets, where it differs: the default of a suite, which is independent
of recipes unless it says `layered: true`.
"""
_PROBES = """
A grid of linear heads on frozen backbones: the verbs `probe` and `fuse`, and entries with `streams` in a
[suite](suites.md).
"""
_EXECUTION = """
How and where a run is carried out. None of it is part of a run's identity: the same run elsewhere has the same id.
"""


def settings_page() -> str:
    """The page."""
    groups = _groups()
    defaults = read_yaml(ROOT / "benchmarks" / "defaults.yaml")
    parts = [_INTRODUCTION]
    for title, names in groups.items():
        parts += [f"## {title}", table(HEADER, rows(RunSpec, defaults, names))]
    parts += ["## Execution", _EXECUTION, table(HEADER, rows(Execution))]
    parts += ["## Probes", _PROBES, table(HEADER, rows(ProbeSettings))]
    parts.append("## Temporal models\n\n`temporal_options`, by the kind of temporal model.")
    for kind, model in TEMPORAL.items():
        parts += [f"### {kind}", first_paragraph(model), table(HEADER, rows(model))]
    example = (Path(inspect.getfile(annotation_study)).parent / "example.yaml").read_text(encoding="utf-8")
    parts += [
        "## Annotation studies",
        "What `fer-bench annotate init` writes: every key of a study, with its default or an example.",
        f"```yaml\n{example.strip()}\n```",
    ]
    return page("Settings", *parts)


def rows(
    model: type[BaseModel], defaults: Mapping[str, Any] | None = None, only: list[str] | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """A row per field.

    Args:
        model: the settings.
        defaults: values that a command has where nothing else is said.
        only: these fields, in this order; None: all.
    """
    schema, said = model.model_json_schema()["properties"], arguments_of(model)
    for name in only or [name for name, field in model.model_fields.items() if not field.exclude]:
        field = model.model_fields[name]
        own = "required" if field.is_required() else code(field.get_default(call_default_factory=True))
        usual = code((defaults or {})[name]) if name in (defaults or {}) else own
        default = usual if usual == own else f"{usual} ({own})"
        yield code(name), default, values(schema[name]), sentence(prose(field.description or said.get(name, "")))


def values(schema: Mapping[str, Any]) -> str:
    """The values that a field may have, from its part of the JSON schema."""
    if "anyOf" in schema:
        kinds = [values(one) for one in schema["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return " ".join([_TYPES[kind], *_limits(schema)])
    if kind == "array":
        inner = values(schema.get("items", {}))
        return f"a list: {inner}" if inner else "a list"
    return {"object": "a mapping", "null": "none"}.get(str(kind), _TYPES.get(str(kind), ""))


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    found = [f"{sign} {number(schema[key])}" for key, sign in _SIGNS.items() if key in schema]
    if found:
        yield ", ".join(found)


def _groups() -> dict[str, list[str]]:
    """The settings of a run by the group of their options in the help of ``run``, in this order."""
    options = {one.name: one for one in typer.main.get_command(app).commands["run"].params}  # type: ignore[attr-defined]
    groups: dict[str, list[str]] = {}
    for name in RunSpec.model_fields:
        if name != "execution":
            groups.setdefault(options[name].rich_help_panel, []).append(name)
    return groups
