"""A small home that holds every kind of record, with the data that its verbs ask for; made once, in seconds."""

from __future__ import annotations

import cv2
import numpy as np

from fer_bench.cli.ensemble import human_baseline_verb
from fer_bench.ensembles.build import build_ensemble
from fer_bench.labels import FER7
from fer_bench.probes.grid import run_grid
from fer_bench.probes.settings import build_probe
from fer_bench.protocols import PROTOCOLS
from fer_bench.results.store import Store
from fer_bench.spec import Execution, RunSpec
from fer_bench.studies.relabelled import score_relabelled
from fer_bench.submissions.submit import Statement, submit
from fer_bench.sweeps.folds import run_folds
from fer_bench.training.evaluate import evaluate
from fer_bench.training.run import run
from tests.datasets.fakes_va import write_afew_va
from tests.fakes import make_faces, make_votes, smooth_images, write_csv, write_votes
from tests.submissions.files import table_of, write

# The test faces of the small FER2013.
SUBMITTED = range(112, 140)
SIZES = {"n_train": 42, "n_validation": 21, "n_test": 28, "difficulty": 0.2}
VALUES = {"va": {"task": "va", "loss": "mse"}, "valence": {"task": "valence", "loss": "mse"}}


def spec_of(**settings):
    plain = {
        "dataset": "synthfaces",
        "dataset_options": SIZES,
        "model_options": {"width": 2},
        "epochs": 1,
        "batch_size": 14,
        "precision": "32-true",
        "execution": {"accelerator": "cpu"},
    }
    return RunSpec.model_validate(plain | settings)


def make_home(folder):
    """Fill the folders that the environment names.

    Returns:
        Run ids, and paths, by the names that the cases use.
    """
    data = folder / "data"
    faces = make_faces((12, 4, 4))
    votes = make_votes(faces)
    # Contempt has no face in FER2013; every split needs one.
    votes[::9] = np.eye(10, dtype=np.int64)[7] * 10
    write_csv(data / "fer2013", faces)
    write_votes(data / "fer2013", faces, votes)
    write_afew_va(data / "afew_va", clips=6, frames=2, actors=6)
    store, execution = Store(), Execution(data_dir=str(data), accelerator="cpu")
    folded = {"dataset_options": {**SIZES, "folds": 2, "fold_by": "frame"}}
    made = {
        "fer7": run(spec_of(), store),
        "second": run(spec_of(seed=1), store),
        "tta": run(spec_of(tta=2, tta_kind="flip"), store),
        **{name: run(spec_of(**settings), store) for name, settings in VALUES.items()},
        "folds": run_folds(spec_of(**folded), store),
        "vafolds": run_folds(spec_of(**VALUES["va"], **folded), store),
    }
    ids = {name: record.run_id for name, record in made.items()}
    ids |= {"fold": made["folds"].data["folds"][0], "vafold": made["vafolds"].data["folds"][1]}
    ids["evaluated"] = evaluate(store, ids["fer7"], "ferplus", execution=execution).run_id
    ids["vaevaluated"] = evaluate(store, ids["va"], "afew_va", execution=execution).run_id
    ids["ensemble"] = build_ensemble(store, PROTOCOLS["synthfaces-fer7"], [ids["fer7"], ids["second"]]).run_id
    grid = {
        "dataset": "fer2013",
        "task": "fer7",
        "streams": [f"features:run:{ids['fer7']}"],
        "lr": [0.01],
        "loss": ["cross_entropy"],
        "seeds": [0],
        "max_epochs": 1,
    }
    ids["probe"] = run_grid(build_probe(grid), store, data_dir=str(data))[0].run_id
    human_baseline_verb("ferplus", str(data))
    ids["human"] = next(record.run_id for record in store.records("ferplus-fer8") if record.kind == "human")
    labels = folder / "crowd.csv"
    labels.write_text(
        "id,label,confidence\n" + "".join(f"{i:05d},{FER7.names[i % 7]},0.9\n" for i in (*range(9), *range(63, 91)))
    )
    ids["relabelled"] = score_relabelled(store, ids["fer7"], labels).run_id
    images = folder / "images"
    images.mkdir()
    for i, image in enumerate(smooth_images(3)):
        cv2.imwrite(str(images / f"{i}.png"), image)
    answers = [
        f"{rater},{63 + i:05d},{FER7.names[(i + rater) % 7]},{(i % 5) / 5 - 0.4},{(rater - 1) / 4}"
        for rater in range(3)
        for i in range(12)
    ]
    (folder / "answers.csv").write_text("\n".join(["rater,image,expression,valence,arousal", *answers]) + "\n")
    outputs = np.random.default_rng(0).dirichlet(np.ones(7), size=28)
    ids["submission"] = str(write(folder / "submission.csv", table_of([f"{i:05d}" for i in SUBMITTED], outputs)))
    (submitted,) = submit(store, [folder / "submission.csv"], "fer2013-fer7", Statement("Net"), data_dir=str(data))
    ids["external"] = submitted.record.run_id
    return ids
