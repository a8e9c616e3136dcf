"""Checkpoints that are written completely or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fer_bench.atomic import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes under another name in the same folder, then renames.

    Lightning's own goes through the system's temporary folder: where that is another file system, what is called a move
    is a copy, and a process that is killed in the middle, or a disk that fills up, leaves part of a checkpoint under
    its final name, with the one before it gone.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: what Lightning has put together.
            path: where it goes.
            storage_options: not supported.

        Raises:
            OSError: the disk is full; the checkpoint that was there before is untouched.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())
