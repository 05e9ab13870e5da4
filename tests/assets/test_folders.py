"""Downloads from a publisher on this machine: checked, recorded, resumed, refused."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from pcpo import policies
from pcpo.assets import AssetError, fetch, preflight, read_lock
from pcpo.records.digest import of_file, of_folder
from pcpo.records.replace import NotWritten
from tests.assets.conftest import COMMIT, set_hub, write_table

WEIGHTS = "org/model/unet/weights.safetensors"
BOTH = ["models/m", "rewards/r"]


def get(shop, *names):
    _, table, lock, root = shop
    return [fetch(name, root, table=table, lock_file=lock) for name in names or BOTH]


def look(shop, *names):
    _, table, lock, root = shop
    return preflight(names or BOTH, root, table, lock)


def test_the_first_download_fills_the_lock_and_the_second_needs_no_network(shop):
    publisher, _, lock, root = shop
    report = look(shop)
    assert report["files"] == ["models/m/config.json", "models/m/deep/w.safetensors",
                               "rewards/r/head.pth"]  # fmt: skip
    assert not root.exists()
    get(shop)
    target = root / "models/m/deep/w.safetensors"
    assert target.read_bytes() == publisher.files[WEIGHTS]
    assert (root / "rewards/r/head.pth").read_bytes() == b"head"
    entry = read_lock(lock)["models/m", "deep/w.safetensors"]
    assert entry == (target.stat().st_size, of_file(target), COMMIT)
    assert read_lock(lock)["rewards/r", "head.pth"].revision == "rev1"
    files = {str(p.relative_to(root / "models/m")) for p in (root / "models/m").rglob("*")}
    assert files == {"assets.json", "config.json", "deep", "deep/w.safetensors"}

    publisher.requests.clear()
    before, text = (root / "models/m/assets.json").stat().st_mtime_ns, lock.read_text()
    get(shop)
    assert look(shop)["files"] == []
    assert not publisher.requests
    # Nothing that was made from the folder looks out of date afterwards.
    assert (root / "models/m/assets.json").stat().st_mtime_ns == before
    assert lock.read_text() == text


def test_the_same_weights_fetched_again_are_the_same(shop):
    """On another machine, or after one damaged file: run and checkpoints belong to them still."""
    folder = shop[3] / "models/m"

    def digests():
        return policies.digest(folder), of_folder(folder)

    get(shop)
    before, stamps = digests(), (folder / "assets.json").read_text()
    shutil.rmtree(folder)
    get(shop)
    assert (folder / "assets.json").read_text() != stamps  # it has the files' times
    assert digests() == before
    (folder / "config.json").write_bytes(b"[]")
    assert digests() != before
    with pytest.raises(AssetError, match="is damaged"):
        get(shop)
    get(shop)
    assert (folder / "config.json.wrong").exists()
    assert digests() == before
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    for name in (".cache/huggingface/a.json", ".gitattributes", "README.md", "x.json.part", "lock"):
        (folder / name).write_text("bookkeeping")
    assert digests() == before
    # A component that lies elsewhere counts like one in place, and a ring of links ends.
    (folder / "deep").rename(folder.with_name("elsewhere"))
    (folder / "deep").symlink_to(folder.with_name("elsewhere"))
    (folder / "deep" / "ring").symlink_to(folder)
    assert digests() == before
    (folder / "deep" / "w.safetensors").write_bytes(b"others")
    assert digests()[0] != before[0] and digests()[1] != before[1]


def test_two_links_to_one_component_count_like_two_copies(tmp_path):
    for name in ("links", "copies"):
        (tmp_path / name / "a").mkdir(parents=True)
        (tmp_path / name / "a" / "config.json").write_text("{}")
    shutil.copytree(tmp_path / "copies" / "a", tmp_path / "copies" / "b")
    (tmp_path / "links" / "b").symlink_to("a")
    (tmp_path / "links" / "a" / "ring").symlink_to(tmp_path / "links")
    assert of_folder(tmp_path / "links") == of_folder(tmp_path / "copies")
    (tmp_path / "links" / "c").symlink_to("unmounted")
    with pytest.raises(FileNotFoundError, match="links/c"):
        of_folder(tmp_path / "links")


def test_what_is_checked_is_stamped(shop, monkeypatch):
    get(shop)
    hashed = []
    monkeypatch.setattr("pcpo.assets.folders.of_file", lambda f: hashed.append(f.name) or "?")
    get(shop)
    assert hashed == []
    os.utime(shop[3] / "models/m/config.json")
    with pytest.raises(AssetError, match=r"models/m/config\.json is damaged"):
        get(shop)
    assert hashed == ["config.json"]


def test_another_machine_with_the_lock_takes_only_the_same_bytes(shop):
    publisher, _, lock, root = shop
    get(shop)
    shutil.rmtree(root)
    publisher.files[WEIGHTS] = publisher.files[WEIGHTS][:-1] + b"!"
    with pytest.raises(AssetError, match=r"deep/w\.safetensors: what org/model offers is not the"):
        look(shop)
    with pytest.raises(AssetError, match=r"deep/w\.safetensors from org/model has") as caught:
        get(shop)
    assert f"delete its line in {lock}" in str(caught.value)
    assert not list(root.rglob("w.safetensors"))
    assert not list(root.rglob("assets.json"))


def test_a_flipped_byte_on_disk_is_found_and_put_aside(shop):
    publisher, _, _, root = shop
    get(shop)
    target = root / "models/m/deep/w.safetensors"
    content = bytearray(target.read_bytes())
    content[1000] ^= 1
    target.write_bytes(content)
    with pytest.raises(AssetError, match=r"models/m/deep/w\.safetensors is damaged"):
        get(shop)
    assert not target.exists()
    assert not (root / "models/m/assets.json").exists()
    assert target.with_name("w.safetensors.wrong").exists()
    get(shop)
    assert target.read_bytes() == publisher.files[WEIGHTS]


def test_damage_on_the_way_is_not_recorded(shop):
    publisher, _, lock, root = shop
    content = publisher.files[WEIGHTS]
    publisher.lie[WEIGHTS] = b"!" + content[1:]
    with pytest.raises(AssetError, match="arrived damaged and was deleted"):
        get(shop)
    assert ("models/m", "deep/w.safetensors") not in read_lock(lock)
    assert not list(root.rglob("*.safetensors"))
    publisher.lie.clear()
    get(shop)


def test_a_sha256_in_the_name_is_checked(shop):
    publisher, table, lock, root = shop
    publisher.files["plain/net-00000000.pth"] = b"net"
    write_table(
        table, [("f", "net.pth", "url", f"{publisher.address}/plain", "net-00000000.pth", "")]
    )
    with pytest.raises(AssetError, match="arrived damaged .* 00000000"):
        get(shop, "f")
    assert not read_lock(lock)
    assert not list(root.rglob("*.pth"))


def test_a_branch_is_pinned_by_the_first_download(shop):
    publisher, table, lock, root = shop
    other = COMMIT[::-1]
    publisher.commits = [COMMIT, other, other, other]
    hub = ("hub", "org/model")
    write_table(table, [("models/m", "config.json", *hub, "config.json", "main"),
                        ("models/m", "w", *hub, "unet/weights.safetensors", "main")])  # fmt: skip
    get(shop, "models/m")
    assert {entry.revision for entry in read_lock(lock).values()} == {COMMIT}
    shutil.rmtree(root)
    get(shop, "models/m")  # the branch has moved on; the lock has not


def test_gated(shop, monkeypatch):
    publisher, _, lock, _ = shop
    publisher.gated.add("org/model")
    for call in (look, get):
        with pytest.raises(AssetError, match="org/model is gated: accept its licence") as caught:
            call(shop)
        message = str(caught.value)
        assert f"{publisher.address}/org/model" in message and "HF_TOKEN" in message
        assert message.count("gated") == 1
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_a")
    with pytest.raises(AssetError, match="the token in use may not read it"):
        look(shop)
    assert not lock.exists()


def test_offline(shop, monkeypatch):
    _, table, _, _ = shop
    get(shop, "rewards/r")
    set_hub(monkeypatch, "http://127.0.0.1:9")
    assert look(shop, "rewards/r")["gigabytes"] == 0
    for call in (look, get):
        with pytest.raises(AssetError, match=r"No answer from http://127\.0\.0\.1:9") as caught:
            call(shop)
        assert str(caught.value).count("No answer") == 1
    write_table(table, [("s", "p.txt", "url", "http://127.0.0.1:9/x", "p.txt", "")])
    with pytest.raises(AssetError, match=r"No answer from 127\.0\.0\.1:9: connect"):
        get(shop, "s")


def test_a_file_that_its_publisher_does_not_have(shop):
    publisher, _, _, _ = shop
    del publisher.files["org/model/config.json"], publisher.files["plain/rev1/head a+b.pth"]
    with pytest.raises(AssetError) as caught:
        look(shop)
    assert f"org/model has no file config.json at revision {COMMIT}" in str(caught.value)
    assert "answers 404" in str(caught.value)


def test_a_small_disk_and_a_gate_come_in_one_message(shop, monkeypatch):
    publisher, *_ = shop
    publisher.gated.add("org/model")
    usage = namedtuple("usage", "total used free")(1, 1, 500_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(AssetError) as caught:
        look(shop)
    obstacles = str(caught.value).splitlines()[1:]
    assert len(obstacles) == 2
    assert "gated" in obstacles[0] and "make room" in obstacles[1]
    publisher.gated.clear()
    with pytest.raises(AssetError, match="0.0 GB free"):  # a megabyte is asked for
        look(shop)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=2_000_000))
    assert look(shop)["free_gigabytes"] == 0.002


def test_a_table_that_contradicts_the_lock(shop):
    _, table, lock, _ = shop
    get(shop)
    other = COMMIT[::-1]
    write_table(table, [("models/m", "config.json", "hub", "org/model", "config.json", other)])
    with pytest.raises(AssetError) as caught:
        look(shop, "models/m")
    message = str(caught.value)
    assert f"names revision '{other}', {lock} recorded '{COMMIT}'" in message
    assert f"{lock} has rewards/r/head.pth, {table} has not: delete the line" in message
    with pytest.raises(AssetError, match="set the table back"):
        get(shop, "models/m")


@pytest.mark.parametrize("name", BOTH)
def test_an_interrupted_download_resumes(shop, monkeypatch, name):
    publisher, _, lock, root = shop
    publisher.files["plain/rev1/head a+b.pth"] = bytes(200_000)
    publisher.break_at = 100_000
    monkeypatch.setattr("pcpo.assets.publishers.RETRIES", 1)
    with pytest.raises(AssetError, match="The connection broke during .*it resumes there"):
        get(shop, name)
    assert not (root / name / "assets.json").exists()
    publisher.break_at = None
    publisher.requests.clear()
    get(shop, name)
    assert [start for _, start in publisher.of("GET")] == ["bytes=100000-"]
    assert read_lock(lock)


def test_a_full_disk_is_named_and_no_broken_connection(shop, tmp_path, mounted):
    publisher, table, lock, _ = shop
    publisher.files["org/model/config.json"] = bytes(200_000)
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    with pytest.raises(NotWritten, match=f"^{disk}/models/m/.*MB are free in {disk}"):
        get((publisher, table, lock, disk), "models/m")


def test_a_transfer_that_gets_further_is_tried_again(shop):
    publisher, *_ = shop
    publisher.break_at = 300_000
    get(shop, "models/m")
    starts = [start for path, start in publisher.of("GET") if path == WEIGHTS]
    assert starts == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    publisher.break_at = 0
    with pytest.raises(AssetError, match="The connection broke during rewards/r"):
        get(shop, "rewards/r")


def test_the_token_stays_with_the_hub(shop, monkeypatch):
    publisher, *_ = shop
    publisher.store = publisher.address.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("HF_TOKEN", "hf_a")
    get(shop)
    assert f"store/{WEIGHTS}" in [path for path, _ in publisher.of("GET")]
    assert set(publisher.tokens) == {"org/model/config.json", WEIGHTS}


def test_processes_side_by_side(shop):
    publisher, table, lock, root = shop
    code = (
        "import sys; from pathlib import Path; from pcpo.assets import fetch\n"
        "fetch(sys.argv[1], *map(Path, sys.argv[2:3]), table=Path(sys.argv[3]),"
        " lock_file=Path(sys.argv[4]))"
    )
    environment = os.environ | {"HF_ENDPOINT": publisher.address}
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, name, root, table, lock], env=environment)
        for name in [*BOTH, "models/m"]
    ]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert len(read_lock(lock)) == 3
    assert sum(path == WEIGHTS for path, _ in publisher.of("GET")) == 1
    manifest = json.loads((root / "models/m/assets.json").read_text())
    assert set(manifest["files"]) == {"config.json", "deep/w.safetensors"}


def test_a_folder_that_is_linked_twice_counts_twice_and_a_circle_ends(tmp_path):
    """As a copy of it would."""
    whole, linked = tmp_path / "whole", tmp_path / "linked"
    for name in ("text_encoder", "text_encoder_2"):
        (whole / name).mkdir(parents=True)
        (whole / name / "model.safetensors").write_text("weights")
    linked.mkdir()
    for name in ("text_encoder", "text_encoder_2"):
        (linked / name).symlink_to(whole / "text_encoder")
    (whole / "text_encoder" / "circle").symlink_to(whole / "text_encoder")
    assert of_folder(linked) == of_folder(whole)
