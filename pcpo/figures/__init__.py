"""The paper's figures from tidy frames: one file per kind, each a function that returns a Figure.

from pcpo.figures import save
from pcpo.figures.training_curves import training_curves
save(training_curves(updates, experiments), "results/demo/figures/figure3")   # .pdf and .png
"""

from pcpo.figures.style import save

__all__ = ["save"]
