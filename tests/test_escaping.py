"""What users name is text wherever it is written: in a spreadsheet, on a terminal, on GitHub."""

from __future__ import annotations

import csv
import io
import re

import pytest
from markdown_it import MarkdownIt

from fer_bench.escaping import csv_cell, csv_text, csv_value, encodable, markdown, one_line, visible

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "''@x",
    "＝1",
    "-",
    "=cmd|' /C calc'!A0",
    "-1;2",
    "+49 30 1",
]
PLAIN = [
    "",
    "happy",
    "-1",
    "+0.5",
    "-1.5e-3",
    "-.5",
    "'tis",
    "'",
    "a=b",
    " =1",
    "img-1.png",
    "it's",
    "1;2",
    'quoted "x", y',
]


@pytest.mark.parametrize("text", FORMULAS + PLAIN)
def test_cells_come_back_and_none_is_a_formula(text):
    written = csv_text(["id", "note"], [text, "x"])
    _, (cell, _) = csv.reader(io.StringIO(written, newline=""))
    assert csv_value(cell) == text
    assert (cell == text) == (text in PLAIN)
    assert not re.match(r"[=+\-@\t\r\n]", cell) or re.fullmatch(r"[+-][\d.e-]+", cell)


def test_cells_of_other_kinds():
    assert [csv_cell(value) for value in (None, -3, -0.25, True)] == ["", "-3", "-0.25", "True"]
    assert csv_cell("caf\udce9") == "caf\\udce9"


HOSTILE = [
    "~~struck~~",
    "~x~",
    "@user",
    "a @org/team b",
    "see #123",
    "GH-123",
    "owner/repo#5",
    "$x$",
    "costs $5 and $6",
    "$$x$$",
    "http://evil.example/x",
    "https://evil.example",
    "ftp://evil.example",
    "www.evil.example",
    "WWW.evil.example",
    "mail@evil.example",
    "mailto:a@b.example",
    "xmpp:a@b.example",
    "<!-- comment -->",
    "<!-- fer_bench:end -->",
    "`code`",
    "``` fence",
    "a|b",
    "line\nbreak",
    "para\n\nbreak",
    "<details><summary>x</summary>",
    "<b>x</b>",
    "![alt](https://evil.example/x.png)",
    "[text](https://evil.example)",
    "[ref][1]",
    "[^1]",
    ":x:",
    ":+1:",
    "time 12:30:45",
    "*a* **b** _c_ __d__",
    "snake_case_name",
    "&lt;b&gt; &#60; &amp;",
    "back\\slash \\* end\\",
    "# heading",
    "## two",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "---",
    "===",
    "> quote",
    "    indented",
    "<https://evil.example>",
    "~~~ fence",
    "\\`",
    "\\\\|",
]
ORDINARY = [
    "five_layer_cnn",
    "timm:convnext_tiny (lr 0.001, 5 seeds)",
    "ResNet-50, ImageNet-1k",
    "folder: mine",
    "a/b+c = d; e",
    "Plutchik's 8",
    "é ü 漢字",
    "x:y:z 3",
]


def parsed(source):
    """The plain text of what Markdown makes of a source, and the kinds of tokens."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    inline = [child for token in tokens for child in token.children or []]
    return (
        "".join(child.content for child in inline if child.type == "text"),
        {t.type for t in tokens},
        {c.type for c in inline},
        inline,
    )


@pytest.mark.parametrize("text", HOSTILE + ORDINARY)
@pytest.mark.parametrize("place", ["{}", "- {}", "# {}", "| a |\n| --- |\n| {} |", "x {} y"])
def test_markdown_shows_text_as_it_is(text, place):
    found, blocks, inline, children = parsed(place.format(markdown(text)))
    shown = re.sub(r"^(a|x )|( y)$", "", found) if place[0] in "|x" else found
    assert shown == " ".join(text.split())
    assert inline <= {"text", "html_inline", "text_special"}
    assert {child.content for child in children if child.type == "html_inline"} <= {"<span>", "</span>"}
    assert not blocks & {"fence", "code_block", "html_block", "blockquote_open", "hr", "ordered_list_open"}
    assert (("bullet_list_open" in blocks), ("heading_open" in blocks)) == (place == "- {}", place == "# {}")


@pytest.mark.parametrize("text", HOSTILE + ORDINARY)
def test_nothing_is_left_for_github_to_find_in_the_rendered_text(text):
    *_, children = parsed(markdown(text))
    runs, run = [], ""
    for child in children:
        if child.type == "html_inline":
            runs, run = [*runs, run], ""
        else:
            run += child.content
    for part in [*runs, run]:
        live = r"@\w|\w@|#\d|\bgh-\d|\$.*\$|://|www\.\w|\bmailto:\w|\bxmpp:\w|:[\w+-]+:"
        assert not re.search(live, part, re.IGNORECASE), part


def test_ordinary_names_stay_as_they_are_in_the_source():
    for text in ORDINARY[:-1]:
        assert markdown(text) == text


def test_letters_that_steer_are_shown():
    assert one_line("a\u202eb\x1b[31m\x07\x00c\u2066") == "a\\u202eb\\u001b[31m\\u0007\\u0000c\\u2066"
    assert one_line("a\u2028b\r\nc\td") == "a b c d"
    assert one_line("\U0001f468\u200d\U0001f469 می\u200cخواهم") == "\U0001f468\u200d\U0001f469 می\u200cخواهم"
    assert one_line("caf\udce9 \ud800").encode() == b"caf\\udce9 \\ud800"
    assert encodable("ok") == "ok"


def test_what_turns_text_around_is_shown_and_lines_stay():
    assert visible("a\u202eb\nc\td\u200d") == "a\\u202eb\nc\td\u200d"
    assert visible("plain <b>") == "plain <b>"
