"""Boards hold what others name: models, recipes, datasets, notes. None of it becomes a link, a mention or markup."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from pydantic import ValidationError

from fer_bench.escaping import one_line
from fer_bench.leaderboard.claims import _citation, claims
from fer_bench.leaderboard.formatting import link, title
from fer_bench.leaderboard.markdown import BEGIN, END, board_markdown, index_line, index_markdown, place_between_markers
from fer_bench.leaderboard.matrix import Cell, to_markdown
from fer_bench.leaderboard.rank import Board, rank
from fer_bench.leaderboard.reported import Reported, ReportedRow, Source, Value
from fer_bench.protocols import Protocol, TaskInfo
from fer_bench.studies.reannotation.page import table
from tests.leaderboard.fake_records import PROTOCOL, run

NAME = f"~~a~~ @user #1 $x$ www.evil.example | <b>{END} [x](y) `c` \u202e :x: https://evil.example"


def links(page):
    tokens = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"]).parse(page)
    inline = [child for token in tokens for child in (token.children or [])]
    assert not {t.type for t in [*tokens, *inline]} & {"s_open", "html_block", "image", "code_inline"}
    assert {t.content for t in inline if t.type == "html_inline"} <= {"<span>", "</span>"}
    return [t.attrs["href"] for t in inline if t.type == "link_open"]


def board(name):
    protocol = Protocol(name, TaskInfo("t", "values", "ccc"), title=name, about=name, caveats=(name,))
    return Board(protocol=protocol, placed=(), unranked=(), n_test=None, n_duplicates=None, test="")


def test_short_names_stay_apart_and_whole_ones_stay_text():
    alike = ["a" * 30 + middle + "b" * 30 for middle in "xy"]
    recipes = dict.fromkeys([*alike, f"{NAME} {'z' * 40}", '"quoted" ' + "q" * 40])
    made = [run(0.7 - 0.01 * i, "net", f"row{i}", recipe=recipe)[0] for i, recipe in enumerate(recipes)]
    page = board_markdown(rank(PROTOCOL, made), [])
    inline = [c for t in MarkdownIt("commonmark").enable("table").parse(page) for c in t.children or []]
    texts, titles = [], []
    for at, token in enumerate(inline):
        if token.type == "link_open" and "title" in token.attrs:
            titles.append(token.attrs["title"])
            end = next(i for i in range(at, len(inline)) if inline[i].type == "link_close")
            texts.append("".join(each.content for each in inline[at:end]))
    assert len(set(texts)) == len(texts) == len(recipes)
    assert titles == [f"net ({one_line(recipe)})" for recipe in recipes]


def test_claims_and_index():
    source = Source(short=NAME, title=NAME, authors=NAME, year=2020, url=f"https://x.example/> {NAME}")
    row = ReportedRow(
        protocol="p-t",
        model=NAME,
        setting=NAME,
        metrics={"ccc": Value(mean=0.5), "rmse": Value(mean=0.1)},
        location=NAME,
        notes=NAME,
    )
    shown = board("p")
    page = "\n\n".join(
        claims(shown, [Reported(source=source, rows=(row.model_copy(update={"protocol": shown.protocol.name}),))])
    )
    assert links(page) == []
    assert "\u202e" not in page
    assert _citation(source.model_copy(update={"url": "https://doi.example/10.1"})).endswith(
        " <https://doi.example/10.1>"
    )
    whole = index_markdown([index_line(board(NAME), [])])
    assert len(links(whole.split("\n\n", 2)[2])) == 1
    assert place_between_markers(place_between_markers(None, whole, "x"), "new\n", "x") == f"{BEGIN}\nnew\n{END}\n"


def test_links_to_names_that_are_no_paths():
    assert link("a", "results/p/m/x.json") == "[a](results/p/m/x.json)"
    assert links(link("a](b) [c", "results/a) (b c/x.json")) == ["results/a%29%20%28b%20c/x.json"]
    assert title("va|~x~/ccc") == "CCC"
    assert "~x~" not in title("~x~|")


def test_the_matrix_and_the_study_page():
    page = to_markdown({NAME: {NAME: Cell(0.5, None, 1, 10, "p")}}, NAME)
    assert links(page) == []
    assert len(re.findall(r"(?<!\\)\|", page.splitlines()[-1])) == 3
    assert links(table((NAME, "x"), [(NAME, "0.5 [0.4, 0.6]")])) == []


@pytest.mark.parametrize("protocol", ["../x-y", "a/b", "/etc/x", "a\\b", ".x", "a\nb", "x" * 300])
def test_claims_stay_on_pages_of_this_folder(protocol):
    with pytest.raises(ValidationError, match="protocol"):
        ReportedRow(protocol=protocol, model="m", location="t")
