"""The reference pages are those of the code, complete, and every page can be found."""

from __future__ import annotations

import re

import pytest
import yaml

import fer_bench
from docs.generator import pages as generated
from docs.generator.__main__ import main
from docs.generator.commands import verbs
from docs.generator.settings import values
from fer_bench.probes.settings import ProbeSettings
from fer_bench.protocols import DATASETS, PROTOCOLS
from fer_bench.spec import Execution, RunSpec
from tests.docs.blocks import DOCS, ROOT, pages

REFERENCE = DOCS / "reference"


def test_the_reference_is_that_of_the_code():
    stale = [str(path.relative_to(ROOT)) for path in generated.stale()]
    assert not stale, (
        f"out of date: {', '.join(stale)}. Run `python -m docs.generator` (or `make docs`), and commit them."
    )


def test_what_the_code_no_longer_says_is_found_and_written_anew(tmp_path, monkeypatch, capsys):
    path = tmp_path / "reference" / "one.md"
    monkeypatch.setattr(generated, "DOCS", tmp_path)
    monkeypatch.setattr(generated, "PAGES", {"reference/one.md": lambda: "what it says now\n"})
    monkeypatch.setattr("docs.generator.__main__.ROOT", tmp_path)
    assert main(["--check"]) == 1
    assert not path.exists()
    assert main([]) == 0
    assert path.read_text() == "what it says now\n"
    assert main(["--check"]) == 0
    path.write_text("what it said before\n")
    assert main(["--check"]) == 1
    assert "out of date: reference/one.md" in capsys.readouterr().out
    assert main(["--chekc"]) == 2


@pytest.mark.parametrize("model", [RunSpec, Execution, ProbeSettings])
def test_every_setting_has_a_row_with_a_meaning(model):
    text = (REFERENCE / "settings.md").read_text()
    for name, field in model.model_fields.items():
        if name != "execution" and not field.exclude:
            assert re.search(rf"^\| `{name}` \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE), name


def test_every_verb_dataset_protocol_and_suite_has_its_place():
    commands, datasets, suites = (
        (REFERENCE / f"{name}.md").read_text() for name in ("command-line", "datasets", "suites")
    )
    assert all(f"\n## fer-bench {name}\n" in commands for name, _ in verbs())
    assert all(f"\n## {name}\n" in datasets for name in DATASETS)
    assert all(f"| `{name}` |" in datasets for name in PROTOCOLS)
    assert all(f"\n## {path.stem}\n" in suites for path in (ROOT / "benchmarks" / "suites").glob("*.yaml"))


def test_the_values_of_a_setting_are_said_in_words():
    assert values({"type": "number", "exclusiveMinimum": 0, "maximum": 1}) == "a number > 0, ≤ 1"
    assert values({"anyOf": [{"type": "integer", "minimum": 8}, {"type": "null"}]}) == "an integer ≥ 8 or none"
    assert values({"enum": ["a", "b"]}) == "`a`, `b`"
    assert values({"type": "array", "items": {"type": "number"}}) == "a list: a number"


def test_all_that_python_offers_is_on_its_page():
    text = (REFERENCE / "python.md").read_text()
    for name in fer_bench.__all__:
        assert re.search(rf"^::: fer_bench\.[\w.]*\b{name}$", text, re.MULTILINE), name


def test_every_variable_is_explained():
    used = {
        name
        for path in (ROOT / "fer_bench").rglob("*.py")
        for name in re.findall(r"FER_BENCH_[A-Z0-9_]+", path.read_text(encoding="utf-8"))
    }
    explained = set(re.findall(r"^\| `(FER_BENCH_\w+)`", (REFERENCE / "environment.md").read_text(), re.MULTILINE))
    assert used == explained


def test_every_page_is_in_the_navigation():
    entries = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(entries)))
    assert listed == {str(page.relative_to(DOCS)) for page in pages() if DOCS in page.parents}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    # Within docs, the strict build also checks the parts of pages.
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), target
