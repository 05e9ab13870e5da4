import torch

from pcpo import policies
from pcpo.policies.embeddings import RECENT, PromptEmbeddings
from tests.small import experiment


def row(value):
    return {"text": torch.full((1, 2), float(value)), "pooled": torch.zeros(1, dtype=torch.float16)}


def test_rows_come_back_from_disk_in_their_dtypes(tmp_path):
    PromptEmbeddings(tmp_path).put("a cat", row(3))
    fresh = PromptEmbeddings(tmp_path)
    assert "a cat" in fresh and "a dog" not in fresh
    assert fresh.get("a dog") is None
    found = fresh.get("a cat")
    assert torch.equal(found["text"], row(3)["text"])
    assert found["pooled"].dtype == torch.float16
    assert not list(tmp_path.glob("*.part"))


def test_memory_is_bounded_with_a_folder(tmp_path):
    kept = PromptEmbeddings(tmp_path)
    for number in range(RECENT + 20):
        kept.put(str(number), row(number))
    assert len(kept._rows) == RECENT
    assert kept.get("0")["text"][0, 0] == 0


def test_a_damaged_file_is_computed_again(tmp_path):
    PromptEmbeddings(tmp_path).put("a cat", row(3))
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    assert PromptEmbeddings(tmp_path).get("a cat") is None
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        file.write_bytes(damaged)
        assert PromptEmbeddings(tmp_path).get("a cat") is None
    file.write_bytes(whole)
    assert PromptEmbeddings(tmp_path).get("a cat") is not None


def test_text_encoders_are_opened_for_new_prompts_alone(models, tmp_path, monkeypatch):
    chosen = experiment(8)
    source = models[chosen.model]
    first = policies.load(chosen, source, embeddings=tmp_path)
    expected = first.encode(["red circle", ""])

    def closed():
        raise AssertionError("the text encoders were opened")

    second = policies.load(chosen, source, embeddings=tmp_path)
    monkeypatch.setattr(second, "open_encoders", closed)
    found = second.encode(["red circle", ""])
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    # Other text encoders have a folder of their own.
    other = policies.load(experiment(6), models["flux"], embeddings=tmp_path)
    assert "red circle" not in other.embeddings
    assert len(list(tmp_path.iterdir())) == 2
