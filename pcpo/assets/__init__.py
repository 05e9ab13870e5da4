"""Real weights and prompt sources: what they are, where they come from, and their checks.

`config/assets.csv` has one row per file (table.py), `config/assets.lock` its size and sha256
(lock.py). A file that the lock does not know is recorded at its first download and checked from
then on. An asset is a folder below `data/`; a finished one has `assets.json`, written last
(folders.py). Pickles are only moved here, never opened.
"""

from pcpo.assets.folders import MANIFEST, fetch, preflight
from pcpo.assets.lock import LOCK, Locked, read_lock, record
from pcpo.assets.table import ASSETS, AssetError, Row, read_assets, rows_of

__all__ = [
    "ASSETS",
    "LOCK",
    "MANIFEST",
    "AssetError",
    "Locked",
    "Row",
    "fetch",
    "preflight",
    "read_assets",
    "read_lock",
    "record",
    "rows_of",
]
