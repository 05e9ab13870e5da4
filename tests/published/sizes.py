"""The two sizes of the random models."""

from typing import Literal

Size = Literal["small", "true"]
