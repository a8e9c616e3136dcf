"""A board as a file: what another program reads back, and what a paper prints."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli.main import app
from fer_bench.errors import SpecError, UnknownNameError
from fer_bench.leaderboard.compare import compare
from fer_bench.leaderboard.comparison_matrix import compare_all
from fer_bench.leaderboard.export import FORMATS, export
from fer_bench.leaderboard.table import table
from fer_bench.results.store import Store
from tests.leaderboard.fake_records import PROTOCOL, put, run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("store"))
    put(made, run(0.7, "timm:net_a", "a1", 0), run(0.71, "timm:net_a", "a1", 1), run(0.5, "=worst", "b1", 0))
    put(made, run(0.6, "people & co", "h1", 0, kind="human"))
    return made


def test_what_is_read_back_is_the_table(store):
    expected = table(store, PROTOCOL.name)
    csv = pd.read_csv(io.BytesIO(export(store, PROTOCOL.name, "csv")))
    assert csv["accuracy"].tolist() == pytest.approx(expected["accuracy"].tolist())
    assert csv["name"].tolist() == ["timm:net_a", "people & co", "'=worst"]
    parquet = pd.read_parquet(io.BytesIO(export(store, PROTOCOL.name, "parquet")))
    pd.testing.assert_frame_equal(parquet, expected, check_dtype=False)
    rows = json.loads(export(store, PROTOCOL.name, "json"))
    assert [row["rank"] for row in rows] == [1, None, 2]
    assert [row["last_rank"] for row in rows] == [1, None, 2]
    assert "<td>timm:net_a</td>" in export(store, PROTOCOL.name, "html").decode()


def test_columns_and_top(store):
    lines = export(store, PROTOCOL.name, "md", columns=["name", "accuracy"], top=2).decode().splitlines()
    assert lines[0] == "| name | accuracy |"
    assert len(lines) == 4
    with pytest.raises(UnknownNameError, match="acuracy"):
        export(store, PROTOCOL.name, "csv", columns=["acuracy"])


def test_latex_is_as_a_paper_prints_it(store):
    text = export(store, PROTOCOL.name, "latex").decode()
    assert r"1 & timm:net\_a & \textbf{70.50} $\pm$ 0.71 & 1.25 \\" in text
    assert r" & people \& co & 60.00 & 1.25 \\" in text
    assert r"2 & =worst & \underline{50.00} & 1.25 \\" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_what_a_reader_must_know_of_a_row_is_in_a_paper_and_in_a_comparison(tmp_path):
    made = Store(tmp_path)
    put(made, run(0.7, "net", "a1", caveats=["selected on test"]), run(0.6, "other", "b1"))
    put(made, run(0.5, "third", "c1", caveats=["selected on test"]))
    text = export(made, PROTOCOL.name, "latex").decode()
    assert text.count(r"$^{1}$ & ") == 2
    assert r"$^{1}$ selected on test.}" in text
    assert "other & " in text
    pair = compare(made, "b1", "a1")
    assert pair.text().splitlines()[1:] == ["net: selected on test."]
    several = compare_all(made, ["b1", "a1", "c1"]).text().splitlines()
    assert several[-2:] == ["net: selected on test.", "third: selected on test."]


def test_what_is_read_back_has_every_digit(store):
    rows = json.loads(export(store, PROTOCOL.name, "json"))
    assert [row["low"] for row in rows] == table(store, PROTOCOL.name)["low"].tolist()


def compiled(folder, latex, bibtex):
    """The log of a paper that has a board and cites what it names; the programs' errors fail."""
    cited = ",".join(re.findall(r"^@\w+{([^,]+),", bibtex, re.MULTILINE))
    paper = (
        r"\documentclass{article}\usepackage{array,booktabs,longtable}\begin{document}"
        rf"A paper~\cite{{{cited}}}.\input{{board}}\bibliographystyle{{plain}}\bibliography{{board}}\end{{document}}"
    )
    for name, text in (("paper.tex", paper), ("board.tex", latex), ("board.bib", bibtex)):
        (folder / name).write_text(text)
    tex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"]
    for command in (tex, ["bibtex", "paper"], tex, tex):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert command[0] != "bibtex" or "Warning" not in done.stdout, done.stdout
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


@pytest.mark.skipif(not shutil.which("pdflatex") or not shutil.which("bibtex"), reason="needs pdflatex and bibtex")
@pytest.mark.parametrize(
    "board",
    ["expw-fer7", *(pytest.param(name, marks=pytest.mark.proof) for name in ("fer2013-fer7", "ferplus-fer8"))],
)
def test_latex_and_bibtex_make_a_paper_whose_table_fits(tmp_path, board):
    committed = Store(Path(__file__).parents[2] / "leaderboards")
    latex, bibtex = (export(committed, board, kind).decode() for kind in ("latex", "bibtex"))
    log = compiled(tmp_path, latex, bibtex)
    assert "undefined" not in log
    assert "Float too large" not in log
    # In points; what sticks out by less nobody sees.
    assert all(float(width) < 2 for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log))


def test_a_long_board_goes_over_pages(store, monkeypatch):
    monkeypatch.setattr("fer_bench.leaderboard.export._ROWS_OF_A_TABLE", 2)
    text = export(store, PROTOCOL.name, "latex").decode()
    assert text.count(r"\begin{longtable}") == text.count(r"\endhead") == 1
    assert r"\begin{table}" not in text
    assert r"\begin{table}" in export(store, PROTOCOL.name, "latex", top=2).decode()


def test_a_paper_that_is_also_the_datasets_is_cited_once():
    committed = Store(Path(__file__).parents[2] / "leaderboards")
    cited = export(committed, "ferplus-fer8", "bibtex").decode().lower()
    assert cited.count("training deep networks for facial expression recognition with crowd") == 1


def test_latex_of_any_name_and_of_one_copy_of_the_data(tmp_path):
    made = Store(tmp_path)
    name = "a|b <i>\n\n {x} $y$ \\input{z} 5 %"
    put(made, run(0.7, "net", "y0", recipe=name, data={"checksums": {"test": "y"}}, created="2026-02-01"))
    put(made, run(0.9, "net", "x0", data={"checksums": {"test": "x"}}, created="2026-01-01"))
    lines = export(made, PROTOCOL.name, "latex").decode().splitlines()
    (row,) = (line for line in lines if line.endswith(r"\\") and not line.startswith("Rank"))
    assert r"net (a\textbar{}b \textless{}i\textgreater{} \textbraceleft{}x\textbraceright{}" in row
    assert r"\textbf{70.00}" in row
    assert not any("dagger" in line for line in lines)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("csv", {"columns": ["name", "name"]}, "twice"),
        ("latex", {"columns": ["name"]}, "--columns changes nothing"),
        ("bibtex", {"top": 1}, "--top changes nothing"),
    ],
)
def test_options_that_change_nothing_are_refused(store, kind, options, problem):
    with pytest.raises(SpecError, match=problem):
        export(store, PROTOCOL.name, kind, **options)


def test_bibtex_of_any_paper(tmp_path):
    folder = tmp_path / "reported"
    folder.mkdir()
    for i in range(2):
        source = (
            f"{{title: 'A & B {{{i}', authors: 'Doe, Jane and Roe, Max', short: 'Doe et al.', url: 'https://x.y/_'}}"
        )
        row = f"{{protocol: {PROTOCOL.name}, model: net, location: 'Table 1'}}"
        (folder / f"{i}.yaml").write_text(f"source: {source}\nrows: [{row}]\n")
    made = Store(tmp_path)
    put(made, run(0.7))
    text = export(made, PROTOCOL.name, "bibtex").decode()
    assert "@misc{Doe_et_al.," in text
    assert "@misc{Doe_et_al._2," in text
    assert r"title = {{A \& B \textbraceleft{}0}}" in text
    assert "author = {Doe, Jane and Roe, Max}" in text
    assert text.count("{") == text.count("}")


def test_bibtex_names_the_dataset_and_the_papers():
    text = export(Store(Path(__file__).parents[2] / "leaderboards"), "fer2013-fer7", "bibtex").decode()
    assert "@misc{vggnet_2021," in text
    assert "author = {Yousif Khaireddin and Zhuofa Chen}" in text
    assert text.count("{") == text.count("}")
    assert "goodfellow" in text.lower()


def test_the_verb(store, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_LEADERBOARDS", str(store.root))
    runner = CliRunner()
    shown = runner.invoke(app, ["leaderboard", "--format", "csv", "--protocol", PROTOCOL.name, "--top", "1"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) == 2
    for kind in FORMATS:
        written = tmp_path / f"board.{kind}"
        done = runner.invoke(app, ["leaderboard", "--format", kind, "--protocol", PROTOCOL.name, "--out", str(written)])
        assert done.exit_code == 0, done.output
        assert written.exists()
    of_board = ["--protocol", PROTOCOL.name]
    for wrong in (
        ["--format", "cvs", *of_board],
        ["--format", "csv"],
        ["--top", "1"],
        ["--out", str(tmp_path / "x")],
        ["--check", *of_board],
        ["--columns", ",", *of_board],
    ):
        assert runner.invoke(app, ["leaderboard", *wrong]).exit_code != 0
    assert not list(store.root.glob("*.md"))
