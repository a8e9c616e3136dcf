"""What ``fer-bench list datasets NAME`` says of one dataset."""

from __future__ import annotations

from collections.abc import Iterator

from fer_bench import plugins
from fer_bench.protocols import DATASETS, PROTOCOLS, DatasetInfo, declared, info_of, unknown_dataset


def described(name: str) -> Iterator[str]:
    """Everything that a dataset says of itself, a line each; the citation last.

    Args:
        name: of the dataset, or ``module:attribute`` of a plugin.

    Raises:
        UnknownNameError: there is none.
        PluginError: a plugin cannot be imported.
    """
    info = DATASETS.get(name) or declared(name)
    if info is None:
        if plugins.find("dataset", name) is None:
            raise unknown_dataset(name)
        info = info_of(name)
    yield f"{info.written or info.name}: {info.title or 'nothing is said of it'}"
    channels = {1: ", grey", 3: ", RGB"}
    stated = {
        "about": info.about,
        "pictures": f"one {info.picture} each{channels.get(info.channels or 0, '')}",
        "default task": info.default_task,
        "protocols": ", ".join(known for known in PROTOCOLS if PROTOCOLS[known].dataset == info.name),
        "licence": info.licence,
        "homepage": info.homepage,
        "how to get it": info.how_to_get,
        "unverified": info.unverified,
    }
    yield from (f"  {key:14s} {text}" for key, text in stated.items() if text)
    yield from (f"  {line}" for line in _options(info))
    yield from info.citation.splitlines()


def _options(info: DatasetInfo) -> Iterator[str]:
    for name, field in (info.options.model_fields if info.options else {}).items():
        default = "" if field.default in (None, "") else f" ({field.default})"
        yield f"--set dataset_options.{name}={default}: {field.description}"
