"""A run as the folder of a repository on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.atomic import write_atomically
from fer_bench.deploy.export import export_run
from fer_bench.deploy.hub.card import model_card
from fer_bench.deploy.hub.config import CONFIG, ONNX, README, RECORD, WEIGHTS, write_config
from fer_bench.deploy.hub.reference import Place
from fer_bench.deploy.hub.terms import Terms, terms_of
from fer_bench.deploy.model_card import Card
from fer_bench.deploy.predictor import card_of, describe
from fer_bench.deploy.probe import load_probe, probe_size, require_named_backbones
from fer_bench.errors import MissingDataError, SpecError, WeightsError
from fer_bench.models.published import published_bytes
from fer_bench.models.trained import checkpoint_of, native_size, spec_of
from fer_bench.probes.kept_heads import head_bytes, read_head
from fer_bench.probes.settings import ProbeSettings
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.training.loading import load_record

FILES = (README, CONFIG, RECORD, WEIGHTS, ONNX)
_NAMED = 8


@dataclass(frozen=True)
class Prepared:
    """What a run's repository would say, before anything of it is written.

    Args:
        record: of the run.
        spec: of the run, or of the grid of a probe.
        card: how its network is fed.
        terms: of what it was trained on.
    """

    record: Record
    spec: RunSpec | ProbeSettings
    card: Card
    terms: Terms


def prepare(store: Store, reference: str) -> Prepared:
    """What is known of a run from its record alone: its weights need not be on this machine.

    Raises:
        RecordError: no such run.
        WeightsError: it has no network of its own; an ensemble names its members.
    """
    record = store.get(reference)
    if record.kind == "ensemble":
        raise WeightsError(*_members(record))
    spec: RunSpec | ProbeSettings
    if record.kind == "probe":
        spec = require_named_backbones(record)
        size = probe_size(record, spec)
    else:
        spec = spec_of(record)
        size = native_size(record, spec)
    card = describe(record, spec, spec.judge, size, str(record.training.get("weights_sha256") or ""))
    return Prepared(record, spec, card, terms_of(record, spec, store))


def _members(record: Record) -> tuple[str, str]:
    """Why an ensemble is not pushed as a whole, and what to push instead."""
    runs = [str(entry["run_id"]) for entry in record.training.get("members") or []]
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return (
        f"run {record.run_id} is an ensemble of {len(runs)}: a repository of the hub holds one network.",
        f"Push its members one by one: {', '.join(runs[:_NAMED])}{more}; `fer-bench ensemble` combines their rows.",
    )


def write_folder(
    store: Store,
    prepared: Prepared,
    folder: Path,
    place: Place,
    *,
    licence: str = "",
    onnx: bool = True,
    images: Sequence[Path] = (),
    data_dir: str | None = None,
) -> list[Path]:
    """Write all files of a repository; an earlier such folder is written over.

    Args:
        store: of the run's record.
        prepared: the run.
        folder: to write.
        place: where it will be pushed, for the card.
        licence: as of :func:`~fer_bench.deploy.hub.card.model_card`.
        onnx: also as ``model.onnx``, which is checked on real images; temporal models and probes have none.
        images: to check it on; empty: test images of the run's own dataset.
        data_dir: dataset root directory.

    Returns:
        The files.

    Raises:
        SpecError: the folder holds something else.
        WeightsError: the weights are not on this machine, or are not those of the record.
        MissingDataError: there is no real image to check the ONNX file on.
    """
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - set(FILES)):
        problem = f"{folder} holds other things than a network for the hub."
        raise SpecError(problem, "Name a folder that is empty, or not there yet.")
    record, spec = prepared.record, prepared.spec
    if isinstance(spec, ProbeSettings):
        # Loaded before anything is written: backbones may have other weights by now.
        head = read_head(record)
        card = card_of(load_probe(store, record, Execution(data_dir=data_dir), head))
        weights = head_bytes(head)
    else:
        checkpoint = checkpoint_of(record, spec)
        card = card_of(load_record(record, checkpoint=checkpoint))
        weights = published_bytes(record, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / RECORD, record.to_json().encode())
    (folder / ONNX).unlink(missing_ok=True)
    if onnx and isinstance(spec, RunSpec) and spec.temporal == "none":
        try:
            # The file that was just written: a record may have been named by its path.
            export_run(store, str(folder / RECORD), folder / ONNX, images, data_dir)
        except MissingDataError as error:
            raise MissingDataError(error.problem, f"{error.hint} Or leave model.onnx out with --no-onnx.") from None
    write_atomically(folder / CONFIG, write_config(card, folder))
    text = model_card(store, record, card, prepared.terms, place=place, licence=licence)
    write_atomically(folder / README, text.encode())
    return [folder / name for name in FILES if (folder / name).is_file()]
