"""The examples of docs/plugins.md are taken from the page and run together."""

from __future__ import annotations

import re
from pathlib import Path

from fer_bench.results.store import Store
from tests.plugins import forgotten

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"


def test_the_examples_of_the_page_work(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    with forgotten():
        import my_data
        import my_loss
        import my_net

        import fer_bench

        settings = {
            "augment": "my_noise:speckle",
            "epochs": 1,
            "batch_size": 24,
            "accelerator": "cpu",
            "precision": "32-true",
        }
        record = fer_bench.run(my_data.read, my_net.Net, loss=my_loss.focal, **settings)
        assert record.protocol == "my_data.read-fer7"
        assert set(record.code["plugins"]) == {"model", "dataset", "loss", "augment"}
        assert fer_bench.load_model(record, accelerator="cpu").names[0] == "angry"
        assert fer_bench.load_dataset("my_data:read", dataset_options={"n": 70}).targets("test").shape == (14,)
        assert len(fer_bench.load_dataset("my_faces:read", dataset_options={"n": 70}).targets("test")) == 14
        from fer_bench.protocols import info_of

        assert info_of("my_faces:read").title == "My faces"
        from fer_bench.spec import build

        assert build({"task": "my_task:MOODS"}).judge.task.labels.names == ("calm", "tense")
        from fer_bench import plugins

        plugins.import_module("my_names")
        assert plugins.find("model", "my_net").reference == "my_net:Net"
        assert build({"task": "my_task:PAIN", "dataset": "my_data:read"}).judge.scale == (0.0, 16.0)
        assert "geometric_mean" not in record.metrics
        plugins.import_module("my_metrics")
        assert fer_bench.score(record.protocol, Store().predictions(record))["geometric_mean"] is not None
    assert not fer_bench.verify().differences
    assert len(fer_bench.leaderboard("my_data.read-fer7")) == len(list(Store().records())) == 1
