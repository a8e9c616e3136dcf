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
from fer_bench.errors import MissingDataError, SpecError
from fer_bench.models.published import published_bytes
from fer_bench.models.trained import checkpoint_of, native_size, spec_of
from fer_bench.results.record import Record
from fer_bench.results.store import Store
from fer_bench.spec import RunSpec
from fer_bench.training.loading import load_record

FILES = (README, CONFIG, RECORD, WEIGHTS, ONNX)


@dataclass(frozen=True)
class Prepared:
    """What a run's repository would say, before anything of it is written.

    Args:
        record: of the run.
        spec: of the run.
        card: how its network is fed.
        terms: of what it was trained on.
    """

    record: Record
    spec: RunSpec
    card: Card
    terms: Terms


def prepare(store: Store, reference: str) -> Prepared:
    """What is known of a run from its record alone: its weights need not be on this machine.

    Raises:
        RecordError: no such run.
        WeightsError: it has no network of its own.
    """
    record = store.get(reference)
    spec = spec_of(record)
    card = describe(
        record, spec, spec.judge, native_size(record, spec), str(record.training.get("weights_sha256") or "")
    )
    return Prepared(record, spec, card, terms_of(record, spec, store))


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
        onnx: also as ``model.onnx``, which is checked on real images; a temporal model has none.
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
    record, checkpoint = prepared.record, checkpoint_of(prepared.record, prepared.spec)
    card = card_of(load_record(record, checkpoint=checkpoint))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, published_bytes(record, checkpoint))
    write_atomically(folder / RECORD, record.to_json().encode())
    (folder / ONNX).unlink(missing_ok=True)
    if onnx and prepared.spec.temporal == "none":
        try:
            # The file that was just written: a record may have been named by its path.
            export_run(store, str(folder / RECORD), folder / ONNX, images, data_dir)
        except MissingDataError as error:
            raise MissingDataError(error.problem, f"{error.hint} Or leave model.onnx out with --no-onnx.") from None
    write_atomically(folder / CONFIG, write_config(card, folder))
    text = model_card(store, record, card, prepared.terms, place=place, licence=licence)
    write_atomically(folder / README, text.encode())
    return [folder / name for name in FILES if (folder / name).is_file()]
