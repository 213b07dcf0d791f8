"""The file of a checkpoint: written beside its place and renamed, so that the one before it stays until then.

Lightning's own way writes it to the folder for temporary files. Where that is another file system, as in most
containers, it is then copied over the checkpoint before, and whoever is killed within the copy can go on from neither.
"""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from training.whole_file import unfinished


class WholeCheckpoints(TorchCheckpointIO):
    """Reads as Lightning does, and writes whole or not at all."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ARG002 - a path of this machine has none
    ) -> None:
        """Replace the checkpoint at a path of this machine. Raises OSError."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with unfinished(Path(path)) as fresh:
            fresh.write_bytes(content.getbuffer())
