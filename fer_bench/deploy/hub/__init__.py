"""Networks on the Hugging Face hub: written as a folder with a model card, pushed, and loaded again.

A repository holds ``README.md`` (the card), ``config.json`` (how the network is fed, and the digests of the other
files), ``record.json`` (the run's record), ``model.safetensors`` (its weights) and, where it can be exported,
``model.onnx``.
"""
