import pytest
import torch

from pcpo.cli.synthetic import STAGES, _call
from pcpo.synthetic.accuracy import COLUMNS, contact_sheet, measure
from pcpo.synthetic.flux import pretrain as pretrain_flux
from pcpo.synthetic.quality_network import train_quality_network
from pcpo.synthetic.stable_diffusion import pretrain as pretrain_sd
from pcpo.synthetic.stable_diffusion_3 import pretrain as pretrain_sd3


def test_every_model_gets_its_rows_and_bars(tmp_path):
    small = {"steps": 1, "batch": 2, "drawings": 180}
    train_quality_network(tmp_path / "quality_network", **small)
    pretrain_sd(tmp_path / "sd14", tmp_path / "sd15", width=16, **small)
    pretrain_sd3(tmp_path / "sd35m", layers=1, width=24, **small)
    pretrain_flux(tmp_path / "flux", distil_steps=1, double=1, single=0, width=24, **small)
    table = measure(tmp_path, images_per_caption=1)
    assert list(table.columns) == list(COLUMNS)
    assert not table.duplicated(["model", "attribute", "guidance_scale"]).any()
    assert set(table.model) == {"quality_network", "sd14", "sd15", "sd35m", "flux"}
    with_bar = table.dropna(subset="bar")
    assert set(with_bar.model) == {"sd14", "sd15", "sd35m", "flux"}
    assert (with_bar.passed == (with_bar.accuracy >= with_bar.bar)).all()
    assert not with_bar.passed.all()  # nothing is learnt in one step
    for model in ("sd14", "sd15", "sd35m", "flux"):
        assert (tmp_path / f"samples_{model}.png").is_file()


def test_contact_sheet_places_images_row_by_row():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 4, 4)
    sheet = contact_sheet(images, columns=3, scale=1)
    assert sheet.size == (3 * 5 + 1, 2 * 5 + 1)
    assert sheet.getpixel((6, 1)) == (1, 1, 1)
    assert sheet.getpixel((1, 6)) == (3, 3, 3)
    assert sheet.getpixel((0, 0)) == (255, 255, 255)


def test_an_unknown_key_of_the_scale_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"synthetic\.quality_network.*stepps.*steps"):
        STAGES["quality_network"]({"quality_network": {"steps": 1, "stepps": 3}}, tmp_path, 0)


def test_sizes_reach_the_function_as_its_arguments(tmp_path):
    def function(place, steps, seed):
        return place, steps, seed

    assert _call(function, "x", {"x": {"steps": 3}}, tmp_path, seed=1) == (tmp_path, 3, 1)
