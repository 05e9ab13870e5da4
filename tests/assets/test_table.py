"""The committed table and lock, and mistakes in such files."""

import re

import pytest

from pcpo.assets import LOCK, AssetError, read_assets, read_lock, rows_of
from pcpo.assets.table import ASSETS, COLUMNS, COMMIT

GOOD = "models/m,a/b.json,hub,org/model,b.json,main,MIT,no,0.5"


@pytest.fixture
def table(tmp_path):
    def write(*lines):
        file = tmp_path / "assets.csv"
        file.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
        return file

    return write


def test_the_committed_table_reads():
    rows = [row for rows in read_assets().values() for row in rows]
    assert len(rows) > 100
    gated = {row.repository for row in rows if row.gated}
    assert gated == {"stabilityai/stable-diffusion-3.5-medium", "black-forest-labs/FLUX.1-dev"}
    # Whatever the hub serves is named by its commit: another upload cannot change a run.
    assert all(COMMIT.fullmatch(row.revision) for row in rows if row.source == "hub")
    assert not [row.name for row in rows if "fp16" in row.file or "safety" in row.file]


@pytest.mark.parametrize("model", ["sd14", "sd15", "sd35m", "flux"])
def test_a_models_weights_are_safetensors_and_complete(model):
    paths = {row.path for row in read_assets()[f"models/{model}"]}
    assert {"model_index.json", "scheduler/scheduler_config.json", "vae/config.json"} <= paths
    assert not [path for path in paths if path.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    for shard in filter(None, (re.search(r"(.*)-00001-of-(\d+)\.", path) for path in paths)):
        count = int(shard[2])
        numbered = {f"{shard[1]}-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)}
        assert numbered < paths
        assert f"{shard[1]}.safetensors.index.json" in paths


def test_the_committed_lock_fits_the_table():
    rows = {(row.asset, row.path): row for rows in read_assets().values() for row in rows}
    for key, locked in read_lock().items():
        assert rows[key].revision == locked.revision
        assert locked.bytes == pytest.approx(rows[key].gigabytes * 1e9, rel=0.5)
    assert ("sources/pick", "train.txt") in read_lock()
    assert ASSETS.parent == LOCK.parent


def test_addresses():
    rows = {row.name: row for rows in read_assets().values() for row in rows}
    head = rows["rewards/aesthetic/sac+logos+ava1-l14-linearMSE.pth"]
    assert head.url.endswith("/fe88a163f4661b4ddabba0751ff645e2e620746e/"
                             "sac%2Blogos%2Bava1-l14-linearMSE.pth")  # fmt: skip
    assert rows["features/lpips/vgg16-397923af.pth"].url == (
        "https://download.pytorch.org/models/vgg16-397923af.pth"
    )
    assert rows["features/lpips/vgg16-397923af.pth"].stated_sha256 == "397923af"
    assert head.stated_sha256 == ""
    mjhq = rows["sources/mjhq/meta_data.json"].hub
    assert (mjhq["repo_id"], mjhq["repo_type"]) == ("playgroundai/MJHQ-30K", "dataset")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("asset", "../models"),
        ("path", "/etc/passwd"),
        ("source", "ftp"),
        ("repository", "model"),
        ("file", ""),
        ("revision", ""),
        ("licence", ""),
        ("gated", "maybe"),
        ("gigabytes", "much"),
        ("gigabytes", "-1"),
        ("gigabytes", "nan"),
    ],
)
def test_a_mistake_is_named_with_its_line(table, column, value):
    cells = GOOD.split(",")
    cells[COLUMNS.index(column)] = value
    file = table(GOOD, ",".join(cells))
    with pytest.raises(AssetError, match=re.escape(f"{file}, line 3: '{value}' cannot be a")):
        read_assets(file)


def test_other_mistakes(table, tmp_path):
    with pytest.raises(AssetError, match="line 3: models/m/a/b.json has a line already"):
        read_assets(table(GOOD, GOOD))
    with pytest.raises(AssetError, match="line 2: 8 cells instead of 9"):
        read_assets(table(GOOD.rpartition(",")[0]))
    with pytest.raises(AssetError, match="no asset models/x; there are: models/m"):
        rows_of(["models/x"], table(GOOD))
    with pytest.raises(AssetError, match="is missing"):
        read_assets(tmp_path / "none.csv")
    (tmp_path / "lock").write_text("asset,path\n")
    with pytest.raises(AssetError, match="line 1: the columns must be asset,path,bytes,sha256"):
        read_lock(tmp_path / "lock")
    (tmp_path / "lock").write_text("asset,path,bytes,sha256,revision\nm,f,12,abc,main\n")
    with pytest.raises(AssetError, match="lock, line 2: 'abc' is not a sha256"):
        read_lock(tmp_path / "lock")
