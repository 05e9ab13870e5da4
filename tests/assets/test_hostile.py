"""A publisher, or an environment, that would harm: other schemes, endless files, lost secrets."""

import os
import re
import subprocess
import sys

import pytest

from pcpo.assets import AssetError, fetch, preflight, read_lock
from pcpo.assets.publishers import PROXIES
from tests.assets.conftest import set_hub

WEIGHTS = "org/model/unet/weights.safetensors"
HEAD = "plain/rev1/head a+b.pth"
SECRET = "s3cret"


def get(shop, name):
    _, table, lock, root = shop
    return fetch(name, root, table=table, lock_file=lock)


@pytest.fixture
def local(tmp_path):
    file = tmp_path / "private.txt"
    file.write_text("head")
    return file


@pytest.mark.parametrize("address", ["file://{}", "ftp://127.0.0.1{}", "data:,head", "FILE:{}"])
@pytest.mark.parametrize(("name", "path"), [("models/m", WEIGHTS), ("rewards/r", HEAD)])
def test_a_publisher_cannot_send_on_to_anything_but_the_web(shop, local, name, path, address):
    publisher, _, lock, root = shop
    publisher.away[path] = address.format(local)
    with pytest.raises(AssetError, match="not http or https; refused|No answer") as caught:
        get(shop, name)
    assert str(local) not in str(caught.value)
    assert not list(root.rglob("*.pth")) + list(root.rglob("*.safetensors"))
    assert not [key for key in read_lock(lock) if key[1] in ("deep/w.safetensors", "head.pth")]


def test_a_store_cannot_send_on_to_a_file_either(shop, local):
    publisher, *_ = shop
    publisher.store = publisher.address
    publisher.away[f"store/{WEIGHTS}"] = f"file://{local}"
    with pytest.raises(AssetError, match="org/model sends on to an address that is not http"):
        get(shop, "models/m")


def test_the_web_is_followed(shop):
    publisher, _, _, root = shop
    publisher.files["moved"] = b"head"
    publisher.away[HEAD] = f"{publisher.address}/moved"
    get(shop, "rewards/r")
    assert (root / "rewards/r/head.pth").read_bytes() == b"head"


@pytest.mark.parametrize("no_sizes", [False, True])
def test_a_file_never_grows_past_its_recorded_size(shop, no_sizes):
    publisher, _, _, root = shop
    get(shop, "rewards/r")
    (root / "rewards/r/head.pth").unlink()
    (root / "rewards/r/assets.json").unlink()
    publisher.lie[HEAD] = b"head" + bytes(9_000_000)
    publisher.no_sizes = no_sizes
    with pytest.raises(AssetError, match=r"rewards/r/head\.pth .* has more than the 4 bytes"):
        get(shop, "rewards/r")
    left = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) <= 4


def test_a_file_of_unknown_size_has_the_tables_for_a_bound(shop):
    publisher, *_ = shop
    publisher.no_sizes = True
    publisher.lie[HEAD] = bytes(20_000_000)  # the table says 1 MB
    with pytest.raises(AssetError, match="has more than the .* bytes"):
        get(shop, "rewards/r")


def test_a_part_that_is_too_large_already_is_begun_again(shop, monkeypatch):
    publisher, _, _, root = shop
    publisher.files[HEAD] = bytes(200_000)
    publisher.break_at = 100_000
    monkeypatch.setattr("pcpo.assets.publishers.RETRIES", 1)
    with pytest.raises(AssetError, match="The connection broke"):
        get(shop, "rewards/r")
    [part] = root.rglob("*.part")
    part.write_bytes(bytes(300_000))
    publisher.break_at = None
    get(shop, "rewards/r")
    assert (root / "rewards/r/head.pth").stat().st_size == 200_000


# --- secrets --------------------------------------------------------------------------------------


def in_a_new_process(shop, name, **variables):
    """What `python -m pcpo.cli.assets fetch` says; the environment is read as at a start."""
    _, table, lock, root = shop
    code = (
        "import sys; from pathlib import Path; from pcpo.assets import fetch, preflight\n"
        "from pcpo.cli.console import run\n"
        "name, root, table, lock = sys.argv[1], *map(Path, sys.argv[2:])\n"
        "run(lambda: (print(preflight([name], root, table, lock)),"
        " fetch(name, root, print, table, lock)))"
    )
    environment = {k: v for k, v in os.environ.items() if k.lower() not in PROXIES} | variables
    done = subprocess.run(
        [sys.executable, "-c", code, name, root, table, lock],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_password_in_the_hubs_address_is_used_and_never_shown(shop, tmp_path):
    publisher, *_ = shop
    address = publisher.address.replace("://", f"://ann:{SECRET}@")
    code, output = in_a_new_process(shop, "models/m", HF_ENDPOINT=address)
    assert code == 0, output
    assert {pair for _, pair in publisher.passwords} == {f"ann:{SECRET}".encode()}
    assert {path for path, _ in publisher.passwords} == {"org/model/config.json", WEIGHTS}
    publisher.gated.add("org/model")
    outputs = [output]
    for changes in ({"files": {}}, {"files": {}, "gated": set()}, {}):
        for key, value in changes.items():
            setattr(publisher, key, value)
        (tmp_path / "data/models/m/assets.json").unlink(missing_ok=True)
        (tmp_path / "data/models/m/config.json").unlink(missing_ok=True)
        code, output = in_a_new_process(shop, "models/m", HF_ENDPOINT=address)
        assert code == 1 and "error: " in output
        outputs.append(output)
    outputs.append(in_a_new_process(
        shop, "models/m", HF_ENDPOINT=f"http://ann:{SECRET}@127.0.0.1:9", HF_TOKEN=f"hf_{SECRET}"
    )[1])  # fmt: skip
    assert "No answer from http://127.0.0.1:9" in outputs[-1]
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert not [text for text in outputs if SECRET in text]
    assert not [data for data in written if SECRET.encode() in data]


def test_the_password_stays_with_the_hub(shop, monkeypatch):
    publisher, *_ = shop
    publisher.store = publisher.address.replace("127.0.0.1", "localhost")
    set_hub(monkeypatch, publisher.address.replace("://", f"://ann:{SECRET}@"))
    get(shop, "models/m")
    assert f"store/{WEIGHTS}" in [path for path, _ in publisher.of("GET")]
    assert not [path for path, _ in publisher.passwords if path.startswith("store/")]


# --- variables that make every request fail -------------------------------------------------------

ENVIRONMENTS = {
    "socks": ({"all_proxy": "socks5://{}@127.0.0.1:1"}, "all_proxy does not name an http proxy"),
    "socks for the web": ({"HTTPS_PROXY": "socks5h://{}@h:1"}, "HTTPS_PROXY does not name an http"),
    "no address": ({"http_proxy": "http://{}@:x"}, "http_proxy does not name an http proxy"),
    "a dead proxy": ({"http_proxy": "http://{}@127.0.0.1:1"}, r"a proxy is set \(http_proxy\)"),
    "accents": ({"HF_TOKEN": "hf_é{}"}, "HF_TOKEN, or the token that was saved by a login, has"),
    "a blank": ({"HF_TOKEN": "hf_a {}"}, "HF_TOKEN, or the token that was saved by a login, has"),
    "another scheme": ({"HF_ENDPOINT": "ftp://{}@hub"}, "HF_ENDPOINT is not the address of a hub"),
    "no hub": ({"HF_ENDPOINT": "{}"}, "HF_ENDPOINT is not the address of a hub"),
}


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_a_variable_that_is_wrong_is_named_in_one_sentence(shop, what):
    publisher, *_ = shop
    variables, sentence = ENVIRONMENTS[what]
    given = {key: value.format(SECRET) for key, value in variables.items()}
    code, output = in_a_new_process(
        shop, "models/m", **({"HF_ENDPOINT": publisher.address} | given)
    )
    assert code == 1
    assert re.search(sentence, output), output
    assert output.count("\n") == 2, output  # the heading of the preflight, and one obstacle
    assert SECRET not in output
    assert not publisher.requests


def test_a_dead_proxy_is_named_for_plain_addresses_too(shop, monkeypatch):
    _, table, lock, root = shop
    monkeypatch.setenv("http_proxy", f"http://ann:{SECRET}@127.0.0.1:1")
    with pytest.raises(AssetError, match=r"a proxy is set \(http_proxy\)") as caught:
        preflight(["rewards/r"], root, table, lock)
    assert SECRET not in str(caught.value)
