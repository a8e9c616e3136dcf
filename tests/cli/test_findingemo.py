"""FindingEmo's verbs take the published files where they are installed, and say how they are had where they are not."""

import sys

import pytest

from tests.datasets import findingemo_lines


@pytest.fixture
def installed(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages/findingemo_light/data"
    folder.mkdir(parents=True)
    (folder / "annotations_single.ann").write_text(findingemo_lines.ANNOTATIONS, encoding="utf-8")
    (folder / "dataset_urls_exploded.json").write_text(
        '[{"rel_path": "/Run_1/x/a.jpg", "url": "images/a.jpg", "idx_url": 1}]', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(folder.parents[1])


@pytest.mark.parametrize("arguments", [("study", "findingemo"), ("download", "findingemo")])
def test_without_the_package(fer_bench, tmp_path, monkeypatch, arguments):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = fer_bench(*arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "pip install 'fer_bench[findingemo]'" in done.err


def test_with_the_package(fer_bench, installed, tmp_path):
    done = fer_bench("study", "findingemo", "--out", str(tmp_path / "study"))
    assert (done.code, done.err) == (0, "")
    assert "10 annotations of 10 images" in next((tmp_path / "study").glob("*.md")).read_text(encoding="utf-8")
    done = fer_bench("download", "findingemo", "--data-dir", str(tmp_path / "data"), "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "no link left     1" in done.out
    assert not (tmp_path / "data").exists()
    done = fer_bench("download", "findingemo", "--data-dir", str(tmp_path / "data"))
    assert (done.code, done.err) == (1, "no image came\n")
    assert "gone             1" in done.out
    assert "findingemo_light" not in sys.modules
