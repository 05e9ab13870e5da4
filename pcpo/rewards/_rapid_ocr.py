"""RapidOCR as a reader of images: runs offline on a CPU with the models in its wheel."""

from __future__ import annotations

import numpy as np
import torch


class RapidOcr:
    """Concatenates the lines it finds, in the detector's order and without a separator.

    Flow-GRPO used paddleocr 2.9.1; RapidOCR runs models of the same family but not the same
    detector, so scores are labelled with the engine.

    Args:
        channels: "rgb" hands the array over as it is, as Flow-GRPO's ocr.py does although the
            engine expects BGR; "bgr" swaps the channels.

    Raises:
        ImportError: if the package is not installed.
    """

    def __init__(self, channels: str = "rgb"):
        if channels not in ("rgb", "bgr"):
            raise ValueError(f"channels must be 'rgb' or 'bgr', not '{channels}'.")
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise ImportError(
                "The OCR engine 'rapidocr' needs two packages: pip install rapidocr onnxruntime"
            ) from error
        self.flip = channels == "bgr"
        self.engine = RapidOCR()

    def read(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) RGB -> B strings; "" where nothing was found."""
        arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return [self._read_one(array[..., ::-1].copy() if self.flip else array) for array in arrays]

    def _read_one(self, array: np.ndarray) -> str:
        result = self.engine(array, use_cls=False)  # no classifier of the text's direction
        if result is None or result.txts is None:
            return ""
        lines = zip(result.txts, result.scores, strict=True)
        return "".join(text for text, confidence in lines if confidence > 0)
