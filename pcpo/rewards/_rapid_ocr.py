"""RapidOCR as a reader of images: runs offline on a CPU with the models in its wheel."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from rapidocr import RapidOCR

# Which of the wheel's models are used changes with its version, which the lock pins. One thread:
# jobs run side by side, one to a core, and more threads than cores slow each other down.
PARAMETERS = {
    "Global.use_cls": False,  # no classifier of the text's direction (use_angle_cls=False)
    "Global.log_level": "error",
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


class RapidOcr:
    """Concatenates the lines it finds, in the detector's order and without a separator.

    Flow-GRPO used paddleocr 2.9.1; RapidOCR runs newer models of the same family, so scores are
    labelled with the engine. Lines with a confidence below 0.5 are dropped, in both by default.
    One image of 512 px takes about 0.25 s on a core.

    Args:
        channels: "rgb" hands the array over as it is, as Flow-GRPO's ocr.py does although the
            engine expects BGR; "bgr" swaps the channels.

    Attributes:
        name: package, version and models.
    """

    def __init__(self, channels: str = "rgb"):
        if channels not in ("rgb", "bgr"):
            raise ValueError(f"channels must be 'rgb' or 'bgr', not '{channels}'.")
        self.flip = channels == "bgr"
        self.engine = RapidOCR(params=PARAMETERS)
        models = self.engine.cfg.Rec
        self.name = (
            f"rapidocr {version('rapidocr')} ({models.ocr_version.value} {models.model_type.value})"
        )

    def read(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) RGB -> B strings; "" where nothing was found."""
        arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return [self._read_one(array[..., ::-1].copy() if self.flip else array) for array in arrays]

    def _read_one(self, array: np.ndarray) -> str:
        result: Any = self.engine(array)
        if result.txts is None:
            return ""
        lines = zip(result.txts, result.scores, strict=True)
        return "".join(text for text, confidence in lines if confidence > 0)
