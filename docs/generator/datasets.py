"""Every dataset, as it declares itself, and the protocols by which runs on it are judged."""

from __future__ import annotations

from collections.abc import Iterator

from fer_bench.protocols import DATASETS, PROTOCOLS, DatasetInfo, Protocol

from .markdown import cell, code, page, sentence, table
from .settings import HEADER
from .settings import rows as rows_of

_INTRODUCTION = """
None of these datasets comes with the package, except the synthetic ones, which are made by it. Most are given to
researchers on request, and their licences say what may be done with them: see [intended use](../intended-use.md).
`fer-bench list datasets NAME` shows what is here, and `fer-bench audit NAME` what your copy holds.

Every dataset has the options `folds`, `fold` and `fold_by` (`--folds`, `--fold-by`). *Not verified* is what of a reader
was never tried on a real file.
"""


def datasets_page() -> str:
    """The page."""
    infos = [DATASETS[name] for name in DATASETS]
    overview = table(
        ("Dataset", "", "Licence"),
        ((f"[`{_written(info)}`](#{info.name})", f"{info.title}: {info.about}", info.licence or "–") for info in infos),
    )
    return page("Datasets", _INTRODUCTION, overview, *(_dataset(info) for info in infos))


def _written(info: DatasetInfo) -> str:
    return info.written or info.name


def _dataset(info: DatasetInfo) -> str:
    pictures = {1: ", grey", 3: ", RGB"}.get(info.channels or 0, "")
    facts = {
        "Name": code(_written(info)),
        "Pictures": f"one {info.picture} each{pictures}",
        "Default task": code(info.default_task) if info.default_task else "",
        "Licence": info.licence,
        "Homepage": f"<{info.homepage}>" if info.homepage else "",
        "How to get it": info.how_to_get,
        "Not verified": sentence(info.unverified),
    }
    parts = [
        f"## {info.name}",
        f"{info.title[:1].upper()}{info.title[1:]}: {info.about}.",
        table(("", ""), ((key, text) for key, text in facts.items() if text)),
        table(("Protocol", "Ranks by", "Test samples", "What a reader must know"), _protocols(info)),
    ]
    if info.options is not None and info.options.model_fields:
        parts.append(table(("Option", *HEADER[1:]), rows_of(info.options)))
    if info.citation:
        citation = info.citation if info.citation.startswith("@") else cell(info.citation)
        parts.append(f"```bibtex\n{citation}\n```" if citation.startswith("@") else f"Cite: {citation}")
    return "\n\n".join(part for part in parts if part)


def _protocols(info: DatasetInfo) -> Iterator[tuple[str, str, str, str]]:
    for name in PROTOCOLS:
        protocol = PROTOCOLS[name]
        if protocol.dataset == info.name:
            n = f"{protocol.n_test:,}" if protocol.n_test else "as in your copy"
            yield code(name), code(protocol.primary), n, _about(protocol)


def _about(protocol: Protocol) -> str:
    said = [sentence(protocol.about)]
    if protocol.task.kind == "values" and "Values from" not in protocol.about:
        low, high = protocol.scale
        said.append(f"Values from {low:g} to {high:g}.")
    if protocol.fold_by:
        said.append(f"Folds by {protocol.fold_by}.")
    if protocol.caveats:
        said.append(sentence(f"Marked: {', '.join(protocol.caveats)}"))
    return " ".join(text for text in said if text)
