from __future__ import annotations

from fer_bench.datasets.ferplus.generated import WHICH
from fer_bench.results.store import Store
from tests.datasets.fakes_ferplus import write_generated
from tests.fakes import make_faces, make_votes, write_csv, write_votes


def test_audit_and_run_of_ferplus_take_the_layout_that_is_there_and_its_protocol(fer_bench, tmp_path):
    root = write_generated(tmp_path / "plus")
    done = fer_bench("audit", "ferplus", "--data-dir", root)
    assert done.code == 0, done.err
    assert done.out.startswith("ferplus_generated: ")
    assert WHICH in done.out
    done = fer_bench("run", "--dataset", "ferplus", "--epochs", 1, "--batch-size", 4, "--data-dir", root)
    assert done.code == 0, done.err
    assert WHICH in done.err
    (path,) = Store().files()
    assert path.parts[-3] == "ferplus_generated-fer8"


def test_where_both_are_there_each_name_is_its_own(fer_bench, tmp_path):
    root = write_generated(tmp_path / "plus")
    faces = make_faces()
    write_csv(root, faces)
    write_votes(root, faces, make_votes(faces))
    assert fer_bench("audit", "ferplus", "--data-dir", root).out.startswith("ferplus: ")
    assert fer_bench("audit", "ferplus_generated", "--data-dir", root).out.startswith("ferplus_generated: ")
