"""An image classifier of the library transformers, from a folder, the hub's cache or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fer_bench import paths
from fer_bench.deploy.outside.model import Feeding, Images, Outputs, require_labels, sha256_of
from fer_bench.errors import MissingDataError, SpecError, WeightsError
from fer_bench.packages import require

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_WAYS_OUT = "Give a folder with config.json and its weights, or fetch the model into the hub's cache first."


class TransformersModel:
    """See :class:`fer_bench.deploy.outside.model.OutsideModel`. No code of a repository is run, no pickle loaded.

    Args:
        reference: a folder, or ``ORG/NAME``.
        feeding: what the user says of it; size and scaling are those of its own processor.

    Raises:
        MissingDataError: no such folder.
        WeightsError: the hub has no such model, cannot be reached, or it is no image classifier with safe weights.
        MissingPackageError: transformers is not installed.
    """

    def __init__(self, reference: str, feeding: Feeding) -> None:
        require(("torch", "transformers"), "hf")
        import torch
        import transformers

        from fer_bench.spec import RunSpec, build
        from fer_bench.training import hardware

        if feeding.normalization or feeding.image_size is not None:
            problem = f"hf:{reference}: size and scaling of its images are in its own preprocessor_config.json."
            raise SpecError(problem, "Leave --image-size and --normalization out.")
        execution = build({"execution": {"accelerator": feeding.accelerator}}, "the command line").execution
        self._device = hardware.resolve(RunSpec(execution=execution)).device
        folder = _folder(reference)
        files = sorted(path for path in folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
        if not files:
            problem = f"hf:{reference}: {folder} has no weights that can be loaded safely ({', '.join(_WEIGHTS)})."
            raise WeightsError(problem, _WAYS_OUT)
        safe = files[0].suffix == ".safetensors"
        level = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._processor = transformers.AutoImageProcessor.from_pretrained(str(folder), **options)
            self._network = transformers.AutoModelForImageClassification.from_pretrained(
                str(folder), use_safetensors=safe, weights_only=True, torch_dtype=torch.float32, **options
            )
        except Exception as error:  # a library of many models raises anything
            detail = next(iter(str(error).strip().splitlines()), "no detail")[:160].rstrip(". ")
            problem = f"hf:{reference}: it cannot be loaded as an image classifier ({type(error).__name__}: {detail})."
            raise WeightsError(problem, _WAYS_OUT) from None
        finally:
            transformers.logging.set_verbosity(level)
        self._network.to(self._device).eval()
        config = self._network.config
        stated = tuple(str(config.id2label[i]) for i in range(len(config.id2label)))
        # Without names of its own a model has LABEL_0, LABEL_1, ...
        self._several = config.problem_type == "multi_label_classification"
        named = () if all(name == f"LABEL_{i}" for i, name in enumerate(stated)) else stated
        self.labels = require_labels(feeding.labels or named, len(stated), f"hf:{reference}")
        self.name = Path(reference).name if _is_folder(reference) else reference
        self.parameters = sum(parameter.numel() for parameter in self._network.parameters())
        settings = [path for name in ("config.json", "preprocessor_config.json") if (path := folder / name).is_file()]
        self.facts = {
            "format": f"transformers {transformers.__version__}, {type(self._network).__name__}",
            "sha256": sha256_of([*files, *settings]),
            "input": type(self._processor).__name__,
        }

    def predict(self, images: Images) -> Outputs:
        """See :class:`fer_bench.deploy.outside.model.OutsideModel`; logits of a network of several labels."""
        import torch

        colour = [np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image for image in images]
        given = self._processor(images=colour, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            logits = self._network(pixel_values=given["pixel_values"].to(self._device)).logits
        found = logits.float() if self._several else logits.float().softmax(dim=-1)
        return np.asarray(found.cpu().numpy(), dtype=np.float32)


def _is_folder(reference: str) -> bool:
    return reference.startswith((".", "/", "~")) or Path(reference).is_dir()


def _folder(reference: str) -> Path:
    """The folder of a model's files."""
    if _is_folder(reference):
        folder = paths.expanded(reference)
        if not (folder / "config.json").is_file():
            problem = f"hf:{reference}: there is no config.json in {folder}."
            raise MissingDataError(problem, "Name the folder that `save_pretrained` has written.")
        return folder
    from fer_bench.models.hub_files import hub_folder

    return hub_folder(reference, ["*.json", *_WEIGHTS], _WAYS_OUT, needed=["config.json"])
