"""Everything the paper draws, from the command line alone; wheels, references, other raters."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_bench.cli.study import _claims
from fer_bench.errors import BadDataError, MissingDataError
from fer_bench.labels import EMO8, EMO24, FER8
from fer_bench.scoring.agreement import mean_upper_triangle, rater_correlations
from fer_bench.studies import reannotation
from fer_bench.studies.consensus import vote_posterior
from fer_bench.studies.reannotation import NetworkOutputs
from fer_bench.studies.reannotation.analysis import analyse
from fer_bench.studies.reannotation.answers import read_answers
from fer_bench.studies.reannotation.claims import beside_the_paper, measured
from fer_bench.studies.reannotation.networks import EARLIER, affect_agreement, join, rater_matrix
from fer_bench.studies.reannotation.outputs import read_outputs
from fer_bench.studies.reannotation.people import _Table, over_people
from fer_bench.studies.reannotation.references import read_references
from fer_bench.studies.reannotation.run import _with_references
from fer_bench.studies.reannotation.study import count_votes
from fer_bench.studies.reannotation.wheel import distance_of_raters, leaf_pairs, wheel_estimates
from tests.cli.conftest import fer_bench
from tests.studies.test_reannotation_votes import random_study

__all__ = ["fer_bench"]
OURS = Path(__file__).parents[2] / "leaderboards"

# The header of AffectNet's lists, and lines in their form; class 2 is sad, 9 and -2 are no class and no value.
AFFECTNET = """subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
1/a.jpg,134,134,899,899,181.64;530.91,1,0.785714,-0.055556
1/b.jpg,20,20,137,137,28.82;77.52,2,-0.5,0.25
1/c.jpg,11,11,176,176,30.52;87.33,9,-2,-2
1/d.jpg,11,11,176,176,30.52;87.33,2,-0.017253,0.004313
"""


@pytest.fixture
def voted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consensus by votes: Dawid and Skene's takes long, and is tested elsewhere."""
    place = "fer_bench.studies.reannotation.analysis.dawid_skene"
    monkeypatch.setattr(place, lambda answers, n: vote_posterior(count_votes(answers, n)))


@pytest.fixture
def shell(fer_bench, voted, monkeypatch):
    """The command line with few resamples."""
    whole = reannotation.study_reannotation
    monkeypatch.setattr(reannotation, "study_reannotation", lambda *a, **more: whole(*a, **more, n_resamples=5))
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(OURS))
    return fer_bench


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_references_of_classes_and_of_images(tmp_path: Path) -> None:
    found = read_references([write(tmp_path / "training.csv", AFFECTNET)])
    assert found.counts == {"happy": 1, "sad": 2}
    assert found.labels == {"1/a.jpg": "happy", "1/b.jpg": "sad", "1/d.jpg": "sad"}
    assert found.ratings is not None
    assert found.ratings.ids.tolist() == ["1/a.jpg", "1/b.jpg", "1/d.jpg"]
    assert found.ratings.values[1].tolist() == [-0.5, 0.25]
    classes = read_references([write(tmp_path / "classes.csv", "label,images\nneutral,74874\nhappy,134415\n")])
    assert classes.counts == {"neutral": 74874, "happy": 134415}
    assert not classes.labels
    one = read_references([tmp_path / "classes.csv", write(tmp_path / "one.csv", "image,valence\na,9\nb,1\nc,3\n")])
    assert one.ratings is not None
    assert (one.ratings.names, one.ratings.values.ravel().tolist()) == (("valence",), [1, -1, -0.5])
    assert one.counts == classes.counts
    scenes = read_references([write(tmp_path / "s.csv", "image,valence,arousal\na,-2,6\nb,1,0\n")], "findingemo")
    assert scenes.ratings is not None
    assert scenes.ratings.values.tolist() == [[pytest.approx(-2 / 3), 1], [pytest.approx(1 / 3), -1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "line 1: needs a class and its number of images"),
        ("label,images\nhappy,many\n", "line 2: images is 'many'"),
        ("label,images\nhappy,-3\n", "line 2: images is '-3'"),
        ("image,valence\na,50\n", "not on a known scale"),
        ("image\na\n", "line 1: needs"),
    ],
)
def test_what_is_no_reference(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadDataError, match=says):
        read_references([write(tmp_path / "r.csv", text)])
    with pytest.raises(MissingDataError, match="no such reference"):
        read_references([tmp_path / "none.csv"])


def test_a_reference_on_the_scale_of_the_answers(tmp_path: Path) -> None:
    # These are on two scales; and -2 is AffectNet's "none" only where it is both.
    both = write(tmp_path / "both.csv", "image,valence,arousal\na,1,4\nb,3,6\n")
    for likely, valence in (("findingemo", [1 / 3, 1]), ("sam9", [-1, -0.5]), (None, [-1, -0.5])):
        found = read_references([both], likely=likely).ratings
        assert found is not None
        np.testing.assert_allclose(found.values[:, 0], valence)
    less = write(tmp_path / "less.csv", "image,valence,arousal\na,-2,4\nb,-2,-2\n")
    found = read_references([less], likely="findingemo").ratings
    assert found is not None
    np.testing.assert_allclose(found.values, [[-2 / 3, 1 / 3]])


def test_an_image_that_is_there_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "twice.csv", "rater,image,label,valence\na,x,fear,0.5\na,y,fear,0.5\nb,x,anger,1\n")
    with pytest.raises(BadDataError, match=r"line 4: 'x' is there twice"):
        read_references([path])
    with pytest.raises(BadDataError, match=r"line 4: 'x' is there twice"):
        read_outputs(write(tmp_path / "outputs.csv", "image,valence\nx,0.5\ny,0.5\nx,1\n"))


def test_predictions_on_another_scale(tmp_path: Path) -> None:
    """`predict --csv` writes a network's values in its dataset's units."""
    assert read_outputs(write(tmp_path / "unit.csv", "image,valence\nx,1.1\ny,0.5\n")).values.max() == 1.1
    with pytest.raises(BadDataError, match=r"values of valence and arousal reach 7\.5, .* on the scale -1 to 1"):
        read_outputs(write(tmp_path / "ten.csv", "image,prediction,valence,arousal\nx,,7.5,0\n"))
    # A table that says its scale is mapped, row by row.
    told = "image,prediction,valence,arousal,scale,error\nx,,7.5,0,from -10 to 10,\ny,,3,1,1 to 5,\n"
    np.testing.assert_allclose(read_outputs(write(tmp_path / "told.csv", told)).values, [[0.75, 0], [0, -1]])
    with pytest.raises(BadDataError, match="line 2: 'ten' is no scale"):
        read_outputs(write(tmp_path / "odd.csv", "image,valence,scale\nx,7.5,ten\n"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--predictions", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--label-set", "yes,no,no"], "two or more classes, each once"),
        (["--label-set", "yes,"], "two or more classes, each once"),
        ([], "name all classes: --label-set maybe,no,yes"),
    ],
)
def test_options_that_name_nothing(tmp_path: Path, shell, options: list[str], says: str) -> None:
    answers = write(tmp_path / "a.csv", "rater,image,expression\nr,x,yes\nr,y,no\ns,x,maybe\n")
    done = shell("study", "reannotation", answers, "--out", tmp_path / "out", *options)
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_the_earlier_annotator_is_one_more_rater(tmp_path: Path) -> None:
    study = read_answers(
        write(tmp_path / "a.csv", "rater,image,expression,valence\n" + "".join(
            f"{r},1/{i}.jpg,{e},{v}\n"
            for r in ("x", "y")
            for i, e, v in (("a", "happy", 8), ("b", "sad", 2), ("d", "contempt", 4))
        ))
    )  # fmt: skip
    assert (study.original == -1).all()
    references = read_references([write(tmp_path / "training.csv", AFFECTNET)])
    study, outputs = _with_references(study, {}, references)
    assert [FER8.names[k] for k in study.original] == ["happiness", "sadness", "sadness"]
    networks = join(study, outputs)
    names, matrix = rater_matrix(study, networks, "valence")  # type: ignore[misc]
    assert names == ["x", "y", EARLIER]
    assert matrix[0, 2] == pytest.approx(np.corrcoef([8, 2, 4], [0.785714, -0.5, -0.017253])[0, 1])
    names, matrix = rater_matrix(study, networks, "expression")  # type: ignore[misc]
    assert names == ["x", "y", EARLIER]
    assert matrix[0, 2] == pytest.approx((8 * 2 / 3 - 1) / 7)


def test_networks_of_one_value_and_of_longer_paths(tmp_path: Path) -> None:
    study = random_study()
    text = "image,prediction,valence,error\n" + "".join(f"/data/faces/{i},,0.{i},\n" for i in study.ids)
    outputs = read_outputs(write(tmp_path / "v.csv", text))
    assert outputs.names == ("valence",)
    (network,) = join(study, {"v": outputs})
    assert network.valence[5] == 0.005
    assert np.isnan(network.arousal).all()
    assert affect_agreement(study, network, "valence", n_resamples=5) is not None
    assert affect_agreement(study, network, "arousal", n_resamples=5) is None
    with pytest.raises(BadDataError, match="predict FOLDER --run RUN --csv FILE"):
        read_outputs(write(tmp_path / "w.csv", "image,prediction\na,happy\n"))


def test_scales_of_findingemo(tmp_path: Path) -> None:
    text = "rater,image,valence,arousal,scale\nx,a,-3,0,findingemo\ny,a,3,6,findingemo\nx,b,1,1,sam9\ny,b,9,5,sam9\n"
    study = read_answers(write(tmp_path / "a.csv", text))
    assert study.valence.tolist() == [[-1, -1], [1, 1]]
    assert study.arousal.tolist() == [[-1, -1], [1, 0]]
    assert sum("scale" in note for note in study.notes) == 2
    inferred = read_answers(write(tmp_path / "b.csv", "rater,image,valence,arousal\nx,a,-3,0\ny,a,2,6\n"))
    assert inferred.arousal.ravel().tolist() == [-1, 1]
    same = "rater,image,valence,arousal\nx,a,1,4\ny,a,2,2\n"
    assert read_answers(write(tmp_path / "c.csv", same)).valence[0, 0] == -1
    assert read_answers(tmp_path / "c.csv", scale="findingemo").valence[0, 0] == pytest.approx(1 / 3)
    with pytest.raises(BadDataError, match=r"line 2: valence -3, arousal 0: not integers from 1 to 9"):
        read_answers(tmp_path / "b.csv", scale="sam9")
    with pytest.raises(BadDataError, match=r"line 2: scale is 'sam5', not one of unit, sam9, findingemo"):
        read_answers(write(tmp_path / "d.csv", "rater,image,valence,scale\nx,a,1,sam5\n"))


WHEEL = [
    ("a", "Joy", "Serenity", "Trust"),
    ("b", "Rage", "Terror", "none"),
    ("c", "Grief", "Grief", ""),
]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "wheel.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rater", "image", "original_label", "category", "wheel"))
        writer.writerows(
            (f"u{r}", f"Run_1/q/{image}.jpg", "Run_1", "", emotion)
            for image, *emotions in WHEEL
            for r, emotion in enumerate(emotions)
        )
    return path


def test_a_wheel_study_counts_distances(wheel: Path) -> None:
    study = read_answers(wheel)
    assert study.label_set is EMO8
    assert study.categories == (*EMO8.names, "unknown")
    assert (study.original == -1).all()
    assert "are no classes" in study.notes[-1]
    assert EMO24.names[study.wheel[1, 0]] == "serenity"
    assert study.wheel[2].tolist() == [EMO24.index("trust"), -1, -1]
    found = {name: e.value for name, e in wheel_estimates(study, n_resamples=10).items()}
    # a: 1/3, 1, 4/3 leaves; b: rage and terror are opposite; c: the same. Weights: 3 raters, 2 and 2.
    distance = (3 * (1 / 3 + 1 + 4 / 3) / 3 + 2 * 4 + 2 * 0) / 7
    assert found["distance"] == pytest.approx(distance)
    assert found["same"] == pytest.approx(2 / 7)
    assert found["by_leaves"].tolist() == pytest.approx([(1 + 2) / 7, 2 / 7, 0, 0, 2 / 7])
    assert found["by_leaves_chance"].sum() == pytest.approx(1)
    answers = [EMO24.index(e) for _, *row in WHEEL for e in row if EMO24.find(e) is not None]
    others = [abs(a % 3 - b % 3) / 3 + EMO8.distances[a // 3][b // 3] for a in answers for b in answers]  # type: ignore[index]
    assert found["distance_chance"] == pytest.approx(sum(others) / (7 * 6))
    assert distance_of_raters(study).tolist() == pytest.approx([(2 / 3 + 4 + 0) / 3, (5 / 6 + 4 + 0) / 3, 7 / 6])
    assert leaf_pairs(study)[0].tolist() == [2, 2, 0, 0, 0, 0, 0, 0]
    assert read_answers(wheel, EMO24).categories[:3] == ("ecstasy", "joy", "serenity")


def test_a_wheel_study_from_the_command_line(wheel: Path, tmp_path: Path, shell) -> None:
    for more in ((), ("--label-set", "emo24")):
        done = shell("study", "reannotation", wheel, "--out", tmp_path / "out", *more)
        assert (done.code, done.err) == (0, "")
        page = (tmp_path / "out/README.md").read_text(encoding="utf-8")
        assert "## Distance on Plutchik's wheel" in page
        assert "![Answers on the wheel by distance](wheel.png)" in page
    done = shell("study", "reannotation", wheel, "--label-set", "emo9")
    assert done.code == 2
    assert "unknown label set 'emo9'" in done.err


def test_other_raters_by_hand() -> None:
    study = random_study(n=60, raters=4)
    table = _Table(study, ())
    weights = np.array([[2.0, 0.0, 1.0, 1.0]])
    value = table.statistics(np.ones((1, 60)), weights)
    correlations = rater_correlations(study.valence.T)
    # Rater 0 twice: its pairs with 2 and 3 count twice, itself with its copy not at all.
    expected = (2 * correlations[0, 2] + 2 * correlations[0, 3] + correlations[2, 3]) / 5
    assert value["rater-rater correlation of valence"][0] == pytest.approx(expected)
    kept = [(row[row >= 0] == study.original[row >= 0]).sum() for row in study.expression]
    asked = [(row >= 0).sum() for row in study.expression]
    share = (2 * kept[0] + kept[2] + kept[3]) / (2 * asked[0] + asked[2] + asked[3])
    assert value["votes that kept the original label"][0] == pytest.approx(share)


def test_intervals_over_raters_and_images() -> None:
    """One rater unlike the others widens the interval over raters, and not that over images."""
    study = random_study(n=300, raters=8)
    study.valence[0] = np.random.default_rng(1).permutation(study.valence[0])
    outputs = {"net": NetworkOutputs(np.array(study.ids), study.valence[1:2].T, ("valence",))}
    networks = join(study, outputs)
    people = over_people(study, networks, n_resamples=200)
    found = people["rater-rater correlation of valence"]
    assert found.value == pytest.approx(mean_upper_triangle(rater_correlations(study.valence.T)))
    widths = [high - low for low, high in found[1:]]
    assert all(low < found.value < high for low, high in found[1:])
    assert widths[1] > 2 * widths[0]
    assert widths[2] > 0.9 * widths[1]
    agreement = affect_agreement(study, networks[0], "valence", n_resamples=2)
    assert agreement is not None
    assert people["correlation of net with raters, valence"].value == pytest.approx(float(agreement["raters"].value))
    assert over_people(random_study(n=20, raters=1)) == {}


def test_the_papers_numbers_stand_beside_the_results(monkeypatch: pytest.MonkeyPatch, voted: None) -> None:
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(OURS))
    claims = {claim.measure: claim.value for claim in _claims("reannotation")}
    assert claims == {
        "changed_votes": 0.8325,
        "expression.profile_correlation": 0.55,
        "pattern.whole_dataset": 0.71,
        "valence.correlation": 0.865,
        "arousal.correlation": 0.468,
        "network.valence": 0.866,
        "network.arousal": 0.504,
    }
    study = random_study(n=80)
    outputs = {name: NetworkOutputs(np.array(study.ids), study.valence[1:2].T, ("valence",)) for name in ("n", EARLIER)}
    analysis = analyse(study, outputs, n_resamples=20)
    kept = float(analysis.votes["kept_votes"].value)
    assert measured(analysis, "changed_votes")[0].startswith(f"{1 - kept:.3f} [")
    assert [text[:3] for text in measured(analysis, "network.valence")] == ["n: "]
    assert measured(analysis, "network.arousal") == measured(analysis, "pattern.whole_dataset") == []
    section = "\n".join(beside_the_paper(analysis, _claims("reannotation")))
    assert "| votes that do not agree with the original label | 0.8325 |" in section
    assert "8,658 of 10,400 votes" in section


def test_everything_from_the_command_line(tmp_path: Path, shell) -> None:
    study = random_study(n=40)
    with (tmp_path / "answers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rater", "image", "expression", "valence", "arousal"))
        for r, rater in enumerate(study.raters):
            for i, image in enumerate(study.ids):
                if study.expression[r, i] >= 0:
                    ratings = [v[r, i] if not np.isnan(v[r, i]) else "" for v in (study.valence, study.arousal)]
                    writer.writerow((rater, image, FER8.names[study.expression[r, i]], *ratings))
    rows = "".join(f"{image},0.{i},0.1\n" for i, image in enumerate(study.ids))
    labels = "".join(f"{image},{('happy', 'sad')[i % 2]},0.{i},-0.{i}\n" for i, image in enumerate(study.ids))
    for name, text in {
        "valence.csv": f"image,valence,error\n{rows}",
        "one/arousal.csv": f"image,arousal,error\n{rows}",
        "original.csv": f"image,label,valence,arousal\n{labels}",
        "classes.csv": "label,images\nneutral,74874\nhappy,134415\nsad,25459\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for image in study.ids:
        Image.new("L", (8, 8)).save(tmp_path / image, format="png")
    references = [f"--reference={tmp_path / name}" for name in ("classes.csv", "original.csv")]
    networks = [f"--predictions={tmp_path / name}" for name in ("valence.csv", "one/arousal.csv", "valence.csv")]
    done = shell(
        "study", "reannotation", tmp_path / "answers.csv", *references, *networks, "--scale=unit", "--label-set=fer8",
        f"--images={tmp_path}",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    figures = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert figures >= {
        "examples",
        "votes",
        "confusion",
        "raters",
        "patterns",
        "affect",
        "affect_networks",
        "affect_spread",
    }
    stored = json.loads((tmp_path / "out/results.json").read_text())
    assert stored["correlations"]["voting patterns"]["names"] == ["people", "original labels", "whole dataset"]
    names = stored["correlations"]["raters, valence"]["names"]
    assert names[len(study.raters) :] == [EARLIER, "valence", str(tmp_path / "valence.csv")]
    assert len(stored["over_people"]["rater-rater correlation of arousal"]["both"]) == 2
    page = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    for heading in ("## Beside the paper", "## Other images and other people", "Correlations of these patterns"):
        assert heading in page
    assert "nan" not in page.lower()
