"""How fast a GPU does a model's work: measured by `make bench-gpu`, or assumed and marked so."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# GB, and bf16 TFLOP/s of dense matrix products by the maker's data sheet.
GPUS = {
    "RTX A5000": (24, 111.0),
    "RTX 4090": (24, 165.0),
    "A100 80GB": (80, 312.0),
    "H100": (80, 989.0),
    "H200": (141, 989.0),
}
REACHED = 0.8  # of the data sheet, by a large matrix product alone [assumed; 790 / 989 on an H100]
# Share of that rate in a whole iteration where none was measured [assumed]. Published training
# loops of such models reach 0.03 to 0.22, this package aims at 0.30, 0.40 and 0.45.
ASSUMED_SHARE = {"sd14": 0.25, "sd15": 0.25, "sd35m": 0.3, "flux": 0.35}

OTHER_SHARE = 0.3  # of a base model that is not among them [assumed]


@dataclass(frozen=True)
class Speed:
    """The measured or assumed speed of a GPU.

    rate: its own bf16 matrix peak, TFLOP/s. sampling, training: share of it by model.
    source: in words, for the notes; measured: whether a benchmark gave the shares.
    """

    gpu: str
    rate: float
    sampling: dict[str, float]
    training: dict[str, float]
    source: str
    measured: bool

    @classmethod
    def assumed(cls, gpu: str) -> Speed:
        """Of a GPU on which nothing was measured. Raises ValueError for an unknown one."""
        if gpu not in GPUS:
            raise ValueError(f"--gpu: '{gpu}' is unknown; known: {', '.join(GPUS)}")
        rate = REACHED * GPUS[gpu][1]
        shares = ", ".join(f"{model} {share:g}" for model, share in ASSUMED_SHARE.items())
        source = (
            f"ASSUMED, not measured: a {gpu} does {rate:.0f} TFLOP/s in large bf16 matrix products "
            f"({REACHED:.0%} of its data sheet) and the loop reaches this share of it: {shares}. "
            "`make bench-gpu` measures both"
        )
        return cls(gpu, rate, ASSUMED_SHARE, ASSUMED_SHARE, source, measured=False)

    @classmethod
    def measured_in(cls, table: Path) -> Speed:
        """From a table that `make bench-gpu` wrote; models that it lacks keep the assumed share.

        Raises ValueError if it is not such a table.
        """
        with table.open(newline="", encoding="utf-8") as handle:
            rows = [row for row in csv.DictReader(handle) if row.get("order") == "ours"]
        if any(row.get("toy") == "True" for row in rows):
            raise ValueError(
                f"{table}: measured with toy sizes (--tiny), which are not representative"
            )
        try:
            device, rate = rows[0]["device"], float(rows[0]["matrix_tflops"])
            shares: dict[str, dict[str, float]] = {}
            for phase in ("sampling", "training"):
                found: dict[str, list[float]] = {}
                for row in rows:
                    found.setdefault(row["model"], []).append(float(row[f"{phase}_share"]))
                shares[phase] = {model: median(values) for model, values in found.items()}
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{table}: not a table of `make bench-gpu` ({error}); delete it or measure again"
            ) from error
        for known in shares.values():  # the two differ in their weights alone
            for one, other in (("sd14", "sd15"), ("sd15", "sd14")):
                if one not in known and other in known:
                    known[one] = known[other]
        missing = [model for model in ASSUMED_SHARE if model not in shares["training"]]
        source = f"measured on {device}, {table}: {rate:.0f} TFLOP/s in bf16 matrix products"
        if missing:
            source += f"; ASSUMED, not measured, for {', '.join(missing)}"
        sampling, training = (ASSUMED_SHARE | shares[p] for p in ("sampling", "training"))
        return cls(device, rate, sampling, training, source, measured=True)

    def hours(self, model: str, sampling: float, training: float) -> float:
        """GPU-hours of so many TFLOP."""
        shares = (share.get(model, OTHER_SHARE) for share in (self.sampling, self.training))
        seconds = sum(
            work / share for work, share in zip((sampling, training), shares, strict=True)
        )
        return seconds / self.rate / 3600
