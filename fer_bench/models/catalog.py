"""Names of networks; torch-free, so that a name is judged before anything heavy is loaded."""

from __future__ import annotations

from fer_bench import plugins
from fer_bench.errors import SpecError
from fer_bench.models.entry import ModelEntry as ModelEntry
from fer_bench.registry import Registry, unknown_name

MODELS: Registry[ModelEntry] = Registry("model")


_SMALLEST = {"alexnet": 63, "densenet": 32, "googlenet": 32, "inception": 75, "squeezenet": 17, "vgg": 32}


def _torchvision(alias: str, builder: str, weights: str, about: str, side: int = 224) -> None:
    MODELS.add(
        alias,
        ModelEntry(
            "torchvision",
            builder,
            side,
            weights,
            about,
            next((n for start, n in _SMALLEST.items() if alias.startswith(start)), 1),
        ),
    )


_V1 = "IMAGENET1K_V1"
for _depth in (18, 34, 50, 101, 152):
    _torchvision(f"resnet{_depth}", f"resnet{_depth}", _V1, f"ResNet-{_depth} (He et al. 2016)")
_torchvision("resnext50", "resnext50_32x4d", _V1, "ResNeXt-50 32x4d (Xie et al. 2017)")
_torchvision("resnext101", "resnext101_32x8d", _V1, "ResNeXt-101 32x8d (Xie et al. 2017)")
_torchvision("wide_resnet50", "wide_resnet50_2", _V1, "Wide ResNet-50-2 (Zagoruyko and Komodakis 2016)")
_torchvision("wide_resnet101", "wide_resnet101_2", _V1, "Wide ResNet-101-2 (Zagoruyko and Komodakis 2016)")
for _depth in (121, 161, 169, 201):
    _torchvision(f"densenet{_depth}", f"densenet{_depth}", _V1, f"DenseNet-{_depth} (Huang et al. 2017)")
for _depth in (11, 13, 16, 19):
    _torchvision(f"vgg{_depth}", f"vgg{_depth}", _V1, f"VGG-{_depth} without batch norm (Simonyan and Zisserman 2015)")
    _torchvision(f"vgg{_depth}_bn", f"vgg{_depth}_bn", _V1, f"VGG-{_depth} with batch norm")
_torchvision("alexnet", "alexnet", _V1, "AlexNet (Krizhevsky et al. 2012)")
_torchvision("squeezenet1_1", "squeezenet1_1", _V1, "SqueezeNet 1.1 (Iandola et al. 2016)")
_torchvision("shufflenet_v2", "shufflenet_v2_x1_0", _V1, "ShuffleNet v2 1.0x (Ma et al. 2018)")
_torchvision("mnasnet", "mnasnet1_0", _V1, "MNASNet 1.0 (Tan et al. 2019)")
_torchvision("mobilenet_v2", "mobilenet_v2", _V1, "MobileNet v2 (Sandler et al. 2018)")
_torchvision("mobilenet_v3_small", "mobilenet_v3_small", _V1, "MobileNet v3 small (Howard et al. 2019)")
_torchvision("mobilenet_v3_large", "mobilenet_v3_large", _V1, "MobileNet v3 large")
_torchvision("efficientnet_b0", "efficientnet_b0", _V1, "EfficientNet-B0 (Tan and Le 2019)")
_torchvision("googlenet", "googlenet", _V1, "GoogLeNet (Szegedy et al. 2015), without its side heads")
_torchvision("inception_v3", "inception_v3", _V1, "Inception v3 (Szegedy et al. 2016), without its side head", 299)
MODELS.add(
    "five_layer_cnn",
    ModelEntry(
        "own",
        "fer_bench.models.five_layer_cnn:FiveLayerCNN",
        48,
        about="the five-layer CNN of the FER2013 report",
        smallest=16,
        grows=True,
    ),
)
MODELS.add(
    "autoencoder",
    ModelEntry(
        "own",
        "fer_bench.models.autoencoder:AutoencoderClassifier",
        48,
        about="the autoencoder paper's network",
        smallest=16,
    ),
)
MODELS.add(
    "oriented_gradients",
    ModelEntry(
        "own",
        "fer_bench.models.oriented_gradients:OrientedGradientsNetwork",
        48,
        about="a small network on histograms of oriented gradients",
        smallest=16,
    ),
)


def find_model(name: str) -> ModelEntry:
    """Look a network up by alias, as ``timm:<name>``, or as a plugin, which is imported.

    Raises:
        UnknownNameError: with suggestions.
        SpecError: ``timm:`` without a name.
        PluginError: a plugin cannot be imported, or is no network.
    """
    if name in MODELS:
        return MODELS[name]
    if not name.startswith("timm:"):
        plugin = plugins.find("model", name)
        if plugin is None:
            raise unknown_name("model", name, plugins.known("model", MODELS))
        from fer_bench.models.outside import entry_of

        return entry_of(plugin)
    inner = name.removeprefix("timm:")
    if not inner:
        problem = "model 'timm:' lacks a name."
        raise SpecError(problem, "For example timm:convnext_tiny.")
    import timm

    if inner.split(".")[0] not in timm.list_models():
        raise unknown_name("model", name, [f"timm:{known}" for known in timm.list_models()])
    designed = timm.get_pretrained_cfg(inner, allow_unregistered=True)
    size, fixed = (designed.input_size[-1], bool(designed.fixed_input_size)) if designed else (224, False)
    return ModelEntry("timm", inner, size, about="timm", fixed_size=fixed)
