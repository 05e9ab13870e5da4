import pytest

from pcpo.config import files
from tests.archive.finished import finish
from tests.system.pipeline import ROOT


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A folder with a finished run in results/smoke."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(files, "CONFIG", ROOT / "config")
        finish()
    return folder
