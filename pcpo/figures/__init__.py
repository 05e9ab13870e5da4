"""The paper's figures from tidy frames: one file per kind, each a function that returns a Figure.

from pcpo.figures.captions import caption
from pcpo.figures.style import save
from pcpo.figures.training_curves import training_curves
save(training_curves(updates, experiments), "results/demo/figures/figure3")   # .pdf, .png, .svg
caption("figure3", experiments, seeds=[0])                                    # the text below

`registry` lists the figures. This package imports nothing: `captions` loads every kind of figure,
and a picture needs none.
"""
