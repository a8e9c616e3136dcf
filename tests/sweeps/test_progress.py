"""A suite says how far it is, and how long the rest will take."""

from __future__ import annotations

from fer_bench.sweeps.progress import Progress, Step


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def done_after(progress, clock, seconds):
    clock.now += seconds
    progress.done()


def test_it_counts_and_foretells_from_what_was_done():
    clock = Clock()
    short, long = Step("run", "faces small", 10), Step("run", "faces small", 30)
    progress = Progress([short, short, long], clock)
    assert progress.begin(short, "plain seed 0") == "[1/3] plain seed 0"
    done_after(progress, clock, 600)
    # 10 and 30 epochs at a minute each.
    assert progress.begin(short, "plain seed 1") == "[2/3] plain seed 1, about 40 min left"
    done_after(progress, clock, 600)
    assert progress.begin(long, "longer seed 0") == "[3/3] longer seed 0, about 30 min left"


def test_the_same_network_is_the_best_measure():
    clock = Clock()
    small, large = Step("run", "faces small", 10), Step("run", "faces large", 10)
    progress = Progress([small, large, small], clock)
    progress.begin(small, "")
    done_after(progress, clock, 100)
    progress.begin(large, "")
    done_after(progress, clock, 1000)
    assert progress.seconds_left() == 100


def test_a_failure_is_no_measure_and_an_unknown_kind_leaves_it_open():
    clock = Clock()
    run, grid = Step("run", "a"), Step("grid", "b")
    progress = Progress([run, run, grid], clock)
    progress.begin(run, "")
    clock.now += 1
    assert "left" not in progress.begin(run, "")
    done_after(progress, clock, 60)
    # Nothing is known of grids: no sum that would leave them out.
    assert progress.begin(grid, "heads") == "[3/3] heads"


def test_what_was_not_foreseen_is_counted():
    progress = Progress([], Clock())
    assert progress.begin(Step("run", "a"), "network") == "[1/1] network"


def test_a_suite_counts_everything_and_tags_its_runs(own_folders, monkeypatch, capsys):
    from fer_bench.cli import suite

    file = own_folders / "mine.yaml"
    faces = "{n_train: 14, n_validation: 7, n_test: 7}"
    file.write_text(
        f"defaults: {{dataset: synthfaces, task: fer7, model: five_layer_cnn, epochs: 2, dataset_options: {faces}}}\n"
        "runs:\n  - {recipe: a, seeds: [0, 1]}\n  - {recipe: b, lr: 0.01, seeds: [0]}\n"
    )
    seen = []
    monkeypatch.setattr(suite, "run_and_say", lambda spec, force: seen.append(spec))
    suite.carry_out_suite(file, {"wandb": "offline", "wandb_tags": ["paper"]})
    lines = [text for text in capsys.readouterr().out.splitlines() if text.startswith("[")]
    assert [text.partition("]")[0] for text in lines] == ["[1/3", "[2/3", "[3/3"]
    assert "left" not in lines[0]
    assert all(text.endswith("left") for text in lines[1:])
    assert {spec.execution.wandb_tags for spec in seen} == {("paper", "mine")}
