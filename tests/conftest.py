"""Small pipelines of the real diffusers classes with random weights, saved once a session."""

import pcpo.cli.console  # noqa: F401  (one thread per process; before torch is imported)

# isort: split
import numpy as np
import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """`ModelSource` of each base model by its name, in the layout that `policies.load` reads."""
    from pcpo.config import ModelSource
    from pcpo.world import drawing, flux, stable_diffusion, stable_diffusion_3
    from pcpo.world.vae import PatchLinearVAE

    root = tmp_path_factory.mktemp("models")
    scenes = [drawing.parse_caption(caption) for caption in drawing.CAPTIONS]
    drawings = drawing.draw(scenes, np.random.default_rng(0))
    plain, folded = (PatchLinearVAE.fit(drawings, fold=fold) for fold in (1, 2))
    pipelines = {
        "sd15": stable_diffusion.build(plain, width=16, seed=1),
        "sd35m": stable_diffusion_3.build(folded, layers=2, width=24, seed=2),
        "flux": flux.build(folded, single=1, width=24, seed=3),
    }
    for name, pipeline in pipelines.items():
        pipeline.save_pretrained(root / name)
    folders = {"sd14": "sd15"} | {name: name for name in pipelines}
    return {name: ModelSource(path=str(root / folder)) for name, folder in folders.items()}
