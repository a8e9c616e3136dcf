"""Under which terms a network may be given on: those of the data, and of the weights, that went into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fer_bench.errors import RecordError
from fer_bench.models.trained import spec_of
from fer_bench.pinning import RUN
from fer_bench.probes.settings import ProbeSettings
from fer_bench.protocols import info_at_hand
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.origin import find_origin

_NOT_KNOWN = "not known here"


@dataclass(frozen=True)
class Source:
    """What went into a network.

    Args:
        name: of the dataset, or of the weights.
        licence: in a few words.
        homepage: where it is from; may be empty.
        free: whether anyone may give on what was made from it.
    """

    name: str
    licence: str
    homepage: str = ""
    free: bool = False


@dataclass(frozen=True)
class Terms:
    """Everything that went into a network."""

    sources: tuple[Source, ...]

    @property
    def free(self) -> bool:
        """Whether none of it asks for anything."""
        return all(source.free for source in self.sources)

    @property
    def homepage(self) -> str:
        """Of the first that has one."""
        return next((source.homepage for source in self.sources if source.homepage), "")

    def lines(self) -> list[str]:
        """For people, one a source."""
        return [f"{source.name}: {source.licence}" for source in self.sources]


def terms_of(record: Record, spec: RunSpec | ProbeSettings, store: Store) -> Terms:
    """The terms of a run's network, and of all that it began with.

    Args:
        record: of the run.
        spec: of the run, or of the grid of a probe.
        store: where the runs are that it began with.
    """
    return Terms(tuple(dict.fromkeys(_sources(record, spec, store))))


def _sources(record: Record, spec: RunSpec | ProbeSettings, store: Store) -> Iterator[Source]:
    info = info_at_hand(record.dataset)
    yield Source(info.title or record.dataset, info.licence or _NOT_KNOWN, info.homepage, info.free)
    if isinstance(spec, ProbeSettings):
        names = dict.fromkeys(stream.partition(":")[2] for stream in spec.streams)
        for name in names:
            if spec.weights_of(name) != "none":
                yield Source(f"the frozen {name}, which is not among the files", "that of its source")
        return
    if spec.weights == "none":
        return
    gone: list[RecordError] = []
    origin = find_origin(spec, store, gone) if spec.weights.startswith(RUN) else None
    if origin is None:
        what = "the run that it began with" if gone else "the weights that it began with"
        yield Source(f"{what} ({spec.weights})", _NOT_KNOWN if gone else "that of their source")
    else:
        yield from _sources(origin, spec_of(origin), store)
