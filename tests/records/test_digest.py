"""Digests against published vectors and the standard library's own computation."""

import hashlib

import pytest

from pcpo.paths import PACKAGE
from pcpo.records import digest

# FIPS 180-4: the examples of its SHA-256 with no block, one and two.
VECTORS = {
    b"": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    b"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
}


@pytest.mark.parametrize("data", VECTORS)
def test_bytes_parts_texts_and_files_have_the_published_digest(tmp_path, data):
    (tmp_path / "file").write_bytes(data)
    found = {
        digest.of_bytes(data),
        digest.of_parts([data[:2], b"", data[2:]]),
        digest.of_text(data.decode()),
        digest.of_file(tmp_path / "file"),
    }
    assert found == {VECTORS[data]}


def test_json_has_a_digest_whatever_the_order_of_its_keys():
    one, other = {"b": [1, 2.5, None], "a": "\u00e9"}, {"a": "\u00e9", "b": [1, 2.5, None]}
    text = '{"a": "\\u00e9", "b": [1, 2.5, null]}'
    assert digest.of_json(one) == digest.of_json(other) == digest.of_text(text)
    assert digest.of_json([1, 2]) != digest.of_json([2, 1])


def test_a_folder_has_the_digest_of_its_list_of_files(tmp_path):
    """As `sha256sum` would list them, by name; a stamp of the download is none of them."""
    for name, data in (("b.txt", b""), ("a/c.bin", b"abc"), ("assets.json", b"{}")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    listed = f"a/c.bin {VECTORS[b'abc']}\nb.txt {VECTORS[b'']}\n"
    assert digest.of_folder(tmp_path) == hashlib.sha256(listed.encode()).hexdigest()
    assert digest.of_folder(tmp_path / "missing") == VECTORS[b""]


def test_digests_are_computed_in_one_place():
    using = {file.name for file in PACKAGE.rglob("*.py") if "import hashlib" in file.read_text()}
    assert using == {"digest.py", "draws.py"}  # the second makes random seeds
