import re
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import yaml

from fer_bench.errors import FerBenchError, RecordError, SpecError
from fer_bench.leaderboard.markdown import BEGIN, END, board_markdown, place_between_markers
from fer_bench.leaderboard.rank import rank
from fer_bench.leaderboard.render import render_all
from fer_bench.leaderboard.reported import read_reported
from fer_bench.protocols import PROTOCOLS
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import PROTOCOL, put, record, run

OWN_CLAIMS = Path(__file__).parents[2] / "leaderboards" / "reported"
CLAIM = {
    "source": {"title": "On | pipes", "authors": "A. Uthor", "year": 2020, "short": "uthor"},
    "rows": [
        {
            "protocol": "toy-fer7",
            "model": "net",
            "setting": "as is",
            "metrics": {"accuracy": {"mean": 0.5, "std": 0.01}},
            "location": "Table 1",
        },
        {"protocol": "unheard-of", "model": "net", "metrics": {"ccc": {"mean": 0.5}}, "location": "Table 2"},
    ],
}


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "leaderboards")
    put(made, run(0.7, "timm:net_a", "a1", 0, duplicates=40), run(0.71, "timm:net_a", "a1", 1, duplicates=40))
    put(
        made,
        run(0.4, "vote", "b1", 0, duplicates=40, kind="ensemble", caveats=["selected on test"]),
        run(0.55, "tagger", "h1", kind="human", duplicates=40),
    )
    put(made, (record("net|c", "c1", status="failed", message="no | space\nleft"), {}))
    return made


def claim(store, content, name="uthor"):
    path = store.root / "reported" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def tables(text):
    """Header and rows of each table, split at bars that are not escaped."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        for block in blocks
    ]


def test_board_shows_everything(store):
    claim(store, CLAIM)
    assert [path.name for path in render_all(store)] == ["toy-fer7.md", "unheard-of.md", "README.md"]
    text = (store.root / "toy-fer7.md").read_text()
    ranking, others, unranked, claims = tables(text)
    assert all(len(line) == len(table[0]) for table in (ranking, others, unranked, claims) for line in table)
    rows = [dict(zip(ranking[0], line, strict=True)) for line in ranking[2:]]
    assert [(row["Rank"], row["Model"]) for row in rows] == [
        ("1", "[timm:net_a](results/toy-fer7/timm_net_a/a1-s0.json)"),
        ("–", "[tagger](results/toy-fer7/tagger/h1-s0.json) *human*"),
        ("2", "[vote](results/toy-fer7/vote/b1-s0.json) *ensemble* ¹"),
    ]
    assert rows[0]["Accuracy %"].replace("\u00a0", " ") == "**70.5 ± 0.7** [(2)](results/toy-fer7/timm_net_a)"
    assert re.fullmatch(r"\[\d\d\.\d,\u00a0\d\d\.\d\]", rows[0]["95 % interval"])
    assert rows[0]["Parameters (M)"] == "1.25"
    assert others[2][-1] == "3"
    assert others[0][-1] == "Epochs"
    assert "¹ selected on test." in text
    assert "the 360 that have no near-duplicate in another split" in text
    assert "pooled over 1 row with several seeds" in text
    assert unranked[2] == ["net\\|c", "[c1-s0](results/toy-fer7/net_c/c1-s0.json)", "–", "failed: no \\| space left"]
    assert claims[2][:3] == ["net", "as is", "50.00 ± 1.00"]
    assert "On \\| pipes" in text


def test_every_link_leads_to_a_record(store):
    render_all(store)
    links = re.findall(r"\]\((results/[^) ]*)", (store.root / "toy-fer7.md").read_text())
    assert len(links) == 5
    assert all((store.root / link).exists() for link in links)
    assert "[toy, fer7](toy-fer7.md)" in (store.root / "README.md").read_text()


def test_board_of_claims_alone(store):
    claim(store, CLAIM)
    render_all(store)
    text = (store.root / "unheard-of.md").read_text()
    assert "Nothing was measured here yet." in text
    assert tables(text)[0][2][2] == "0.500"
    assert "nothing measured yet" in (store.root / "README.md").read_text()


def test_rendering_is_deterministic(store):
    claim(store, CLAIM)
    render_all(store)
    before = {path: path.read_bytes() for path in store.root.glob("*.md")}
    assert render_all(store) == []
    for path in before:
        path.unlink()
    render_all(store)
    assert {path: path.read_bytes() for path in before} == before
    records = list(store.records())
    assert board_markdown(rank(PROTOCOL, records), []) == board_markdown(rank(PROTOCOL, records[::-1]), [])


def test_check_writes_nothing_and_says_what_is_old(store):
    board, index = store.root / "toy-fer7.md", store.root / "README.md"
    assert render_all(store, check=True) == [board, index]
    assert not board.exists()
    render_all(store)
    assert render_all(store, check=True) == []
    put(store, run(0.9, "new", "n1"))
    before = board.read_bytes()
    assert render_all(store, check=True) == [board, index]
    assert board.read_bytes() == before


def test_handwritten_text_stays(store):
    render_all(store)
    board = store.root / "toy-fer7.md"
    board.write_text("Before.\n" + board.read_text() + "\nAfter.\n")
    put(store, run(0.9, "new", "n1"))
    render_all(store)
    text = board.read_text()
    assert text.startswith(f"Before.\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "| new |" in text


def test_page_whose_records_are_gone_is_emptied(store):
    render_all(store)
    for path in store.files():
        path.unlink()
    assert [path.name for path in render_all(store)] == ["toy-fer7.md", "README.md"]
    assert "Nothing was measured here yet." in (store.root / "toy-fer7.md").read_text()


@pytest.mark.parametrize("page", [f"{END}\n{BEGIN}\n", BEGIN, END, f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_broken_markers(page):
    with pytest.raises(FerBenchError, match=r"page\.md: the markers"):
        place_between_markers(page, "new\n", "page.md")


def test_page_without_markers_gets_them_at_its_end():
    assert place_between_markers("By hand.\n", "new\n", "page.md") == f"By hand.\n\n{BEGIN}\nnew\n{END}\n"


def test_damaged_record_is_named(store):
    path = store.files()[0]
    path.write_text(path.read_text()[:100])
    with pytest.raises(RecordError, match=re.escape(str(path))):
        render_all(store)
    assert not (store.root / "toy-fer7.md").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["rows"][1].update(metric=1), r"uthor\.yaml, row 2: unknown key 'metric'.*Known: protocol"),
        (
            lambda c: c["rows"][0]["metrics"]["accuracy"].update(sdt=1),
            r"row 1: unknown key 'metrics.accuracy.sdt'.*Known: mean, std",
        ),
        (lambda c: c["rows"][0].pop("location"), r"row 1: location: field required"),
        (lambda c: c["rows"][0]["metrics"].update(accuracy={"mean": float("nan")}), r"row 1: metrics.accuracy.mean"),
        (lambda c: c["source"].update(jahr=1), r"uthor\.yaml, source: unknown key 'jahr'"),
        (lambda c: c.update(row=[]), r"uthor\.yaml: unknown key 'row'"),
        (lambda c: c.pop("rows"), r"uthor\.yaml: rows: expected a list"),
        (lambda c: c.update(rows=["x"]), r"row 1: input should be"),
    ],
)
def test_wrong_claims_name_file_and_row(store, change, message):
    content = yaml.safe_load(yaml.safe_dump(CLAIM))
    change(content)
    claim(store, content)
    with pytest.raises(SpecError, match=message):
        render_all(store)


def test_own_claims():
    papers = {paper.source.short: paper.rows for paper in read_reported(OWN_CLAIMS)}
    rows = papers["cnn_ensembles"]
    assert len([row for row in rows if row.location == "Table 5"]) == 17
    from tests.paper_models import SEVENTEEN

    assert tuple(row.model for row in rows[:17]) == SEVENTEEN
    assert max(rows[:17], key=lambda row: row.metrics["accuracy"].mean).model == "resnext101"
    # The thirteen that are best on test are all but the four VGGs, as the paper says of its best ensemble.
    assert {row.model for row in sorted(rows[:17], key=lambda row: row.metrics["accuracy"].mean)[:4]} == {
        "vgg11",
        "vgg13",
        "vgg16",
        "vgg19",
    }
    assert "selected on test" in rows[17].notes
    assert rows[19].metrics == {}
    report = papers["five_layer_cnn"]
    assert [row.metrics["accuracy"].mean for row in report] == [round(3621 / 5766, 4), round(4547 / 7066, 4)]
    assert all("not PrivateTest" in row.notes and row.protocol in PROTOCOLS for row in report)


def _write(root, worker):
    store = Store(root)
    for i in range(5):
        put(store, (record("net", f"w{worker}", i, metrics={"accuracy": 0.5}, n_scored=5), run(0.5, n=20)[1]))
        render_all(store)


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    context = get_context("fork")
    workers = [context.Process(target=_write, args=(tmp_path, worker)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 8
    store = Store(tmp_path)
    assert {made.run_id for made in store.records()} == {f"w{worker}-s{i}" for worker in range(8) for i in range(5)}
    assert all(len(store.predictions(made)) == 20 for made in store.records())
    assert not list(tmp_path.rglob("*.part"))
    assert render_all(store, check=True) == []
    assert np.array_equal(sorted(path.name for path in tmp_path.glob("*.md")), ["README.md", "toy-fer7.md"])


def test_boards_of_values_show_both_readings_of_every_measure(tmp_path):
    from tests.ensembles import stored_values

    store = Store(tmp_path)
    whole = stored_values.fill_folds(store, 1)[0]
    render_all(store)
    page = (tmp_path / "toy-va.md").read_text()
    pooled, averaged = page.split("## Mean over folds")
    header = next(line for line in pooled.splitlines() if line.startswith("| Rank"))
    assert "| Valence CCC | Arousal CCC |" in header
    assert "| Valence CCC | Valence RMSE | Valence PCC | Valence ICC(3,1) |" in pooled
    assert "| Arousal CCC | Arousal RMSE | Arousal PCC | Arousal ICC(3,1) |" in pooled
    assert f"{whole.metrics['valence']['icc31']:.3f}" in pooled
    folds = whole.metrics["folds"]
    row = next(line for line in averaged.splitlines() if line.startswith("| net0"))
    for name in ("ccc", "valence/icc31", "arousal/rmse", "arousal/pcc"):
        assert f"{folds['averaged'][name]:.3f} ± {folds['std'][name]:.3f}" in row


def test_claims_say_what_is_known_of_them(store):
    known = {
        "papers": [
            {
                "source": {"title": "A", "authors": "A. A.", "short": "a"},
                "rows": [
                    {"protocol": "toy-fer7", "model": "low", "metrics": {"accuracy": {"mean": 0.6}}, "location": "T1"}
                ],
            },
            {
                "source": {"title": "B", "authors": "B. B.", "short": "b"},
                "rows": [
                    {
                        "protocol": "toy-fer7",
                        "model": "high",
                        "views": 10,
                        "members": 7,
                        "image_size": 40,
                        "pretraining": "nothing",
                        "metrics": {"accuracy": {"mean": 0.9}},
                        "location": "T2",
                        "status": ["splits exchanged"],
                        "evidence": [{"says": "Test is validated on.", "url": "https://x.example/data.py"}],
                    }
                ],
            },
        ]
    }
    claim(store, known, name="literature")
    render_all(store)
    text = (store.root / "toy-fer7.md").read_text()
    claims = tables(text)[-1]
    assert claims[0][:4] == ["Model", "Setting", "Accuracy %", "Status"]
    assert [row[0] for row in claims[2:]] == ["high", "low"]
    assert claims[2][1:4] == ["pretrained on nothing; 10 views; 7 networks; 40 px", "90.00", "splits exchanged"]
    assert claims[3][3] == "not checked"
    assert "- high (b), splits exchanged: Test is validated on. <https://x.example/data.py>" in text
    del known["papers"][1]["rows"][0]["evidence"]
    claim(store, known, name="literature")
    with pytest.raises(SpecError, match=r"literature\.yaml, paper 2, row 1: status: nothing shows"):
        render_all(store)


def test_the_literature_names_its_sources():
    rows = [
        (paper.source, row) for paper in read_reported(OWN_CLAIMS) for row in paper.rows if row.status or row.evidence
    ]
    assert {row.protocol for _, row in rows} <= {*PROTOCOLS}
    assert all(source.url.startswith("https://") for source, _ in rows)
    assert all(evidence.url.startswith("https://") for _, row in rows for evidence in row.evidence)
    at = {round(100 * row.metrics["accuracy"].mean, 2) for _, row in rows if row.protocol == "fer2013-fer7"}
    assert {76.82, 76.12, 75.97, 75.42, 74.14, 73.70, 73.28, 79.79} <= at
