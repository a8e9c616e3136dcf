"""What late fusion adds, and each class, on a board."""

from dataclasses import replace

import numpy as np
import pytest

from fer_bench.leaderboard.markdown import board_markdown
from fer_bench.leaderboard.rank import rank
from fer_bench.leaderboard.split_comparison import Sibling
from fer_bench.predictions import Predictions
from fer_bench.protocols import protocol_for
from fer_bench.results.record import Record
from fer_bench.scoring.score import score

PROTOCOL = protocol_for("synthscenes", "valence3")
N = 400


def predictions(share_right, seed):
    generator = np.random.default_rng(seed)
    targets = np.random.default_rng(0).integers(3, size=N)
    answered = np.where(generator.random(N) < share_right, targets, (targets + 1 + generator.integers(2, size=N)) % 3)
    return Predictions(
        np.array([f"{i:03d}" for i in range(N)]), targets, (0.1 + 0.7 * np.eye(3)[answered]).astype(np.float32)
    )


def row(name, streams, share_right, caveats=(), options=None):
    found = []
    for seed in range(3):
        given = predictions(share_right, 10 * len(name) + seed)
        record = Record(
            run_id=f"{name}-s{seed}",
            row=name,
            kind="probe",
            protocol=PROTOCOL.name,
            task="valence3",
            dataset="synthscenes",
            model=name,
            seed=seed,
            metrics=score(PROTOCOL, given),
            n_scored=N,
            spec={"streams": streams, "dataset_options": options or {}},
            caveats=list(caveats),
        )
        found.append((record, given))
    return found


def board(*rows):
    both = [pair for members in rows for pair in members]
    stored = {record.run_id: given for record, given in both}
    return rank(PROTOCOL, [record for record, _ in both], lambda record, split: stored[record.run_id])


def test_a_fusion_that_helps_and_one_that_does_not():
    alone, faces = row("alone", ["features:a"], 0.5), row("faces", ["faces:f"], 0.75)
    found = board(
        alone, faces, row("both", ["features:a", "faces:f"], 0.76), row("third", ["features:a", "predictions:p"], 0.5)
    )
    gains = {(gain.fused.model, gain.part.model): gain for gain in found.gains}
    assert set(gains) == {("both", "alone"), ("both", "faces"), ("third", "alone")}
    helps = gains["both", "alone"]
    assert helps.added == ("faces:f",)
    assert helps.difference == pytest.approx(helps.fused.value("weighted_f1") - helps.part.value("weighted_f1"))
    assert helps.verdict(True) == "significantly better"
    assert helps.verdict(False) == "significantly worse"
    assert gains["third", "alone"].verdict(True) == "not significant"
    page = board_markdown(found, [])
    assert "[both](results/" in page
    line = next(line for line in page.splitlines() if line.startswith("| both | alone |"))
    assert "**significantly better**" in line
    assert "| Macro-AP % |" in page


def test_rows_selected_on_test_or_in_another_frame_are_left_out():
    alone = row("alone", ["features:a"], 0.5)
    tested = row("both", ["features:a", "faces:f"], 0.8, caveats=["selected on test"])
    framed = row("framed", ["features:a", "faces:f"], 0.8, options={"width": 256})
    assert board(alone, tested, framed).gains == ()


def test_each_class_is_shown_where_they_are_uneven():
    rows = row("alone", ["features:a"], 0.5)
    page = board_markdown(board(rows), [])
    header = next(line for line in page.splitlines() if line.endswith("| negative | neutral | positive |"))
    line = page.splitlines()[page.splitlines().index(header) + 2]
    recalls = [100 * np.mean([record.metrics["per_class"]["recall"][c] for record, _ in rows]) for c in range(3)]
    assert [cell.split("/")[0].strip() for cell in line.split("|")[2:5]] == [f"{value:.2f}" for value in recalls]


def test_differences_have_the_decimals_and_columns_the_unit_of_their_scores():
    alone, both = row("alone", ["features:a"], 0.5), row("both", ["features:a", "faces:f"], 0.76)
    found = board(alone, both)
    (gain,) = found.gains
    beside = Sibling(replace(PROTOCOL, variant="paper"), tuple(placed.row for placed in found.placed))
    page = board_markdown(replace(found, siblings=(beside,)), [])
    assert f"| +{100 * gain.difference:.2f} | < 0.001 |" in page
    assert "| Model | Weighted F1 % here | Weighted F1 %, paper |" in page
    of_values = replace(found, protocol=protocol_for("synthscenes", "va"))
    assert f"| +{gain.difference:.3f} | < 0.001 |" in board_markdown(of_values, [])
