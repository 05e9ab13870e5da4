"""The small CLIP: pooling, its open_clip twin, determinism."""

import open_clip
import pytest
import torch

from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import clip_normalised, pad_tokens
from pcpo.synthetic.clip import new_clip, train_clip
from pcpo.synthetic.open_clip_layout import save_open_clip
from pcpo.synthetic.tokenizers import MAX_TOKENS, clip_tokenizer


@pytest.fixture(scope="module")
def clip():
    tokenizer = clip_tokenizer()
    return new_clip(tokenizer, 32, seed=0).eval(), tokenizer


def test_text_is_pooled_at_the_end_token(clip):
    """`eos_token_id=2` would pool at the largest id instead, which silently ruins training."""
    model, tokenizer = clip
    tokens = pad_tokens(tokenizer, ["red circle", "a red circle above a line"], MAX_TOKENS)
    with torch.no_grad():
        output = model.text_model(**tokens)
    end = (tokens["input_ids"] == tokenizer.eos_token_id).int().argmax(dim=1)
    assert end.tolist() == [3, 7]
    assert torch.equal(output.pooler_output, output.last_hidden_state[[0, 1], end])
    assert tokenizer.eos_token_id == len(tokenizer) - 1  # where open_clip's argmax looks


def test_the_last_word_changes_the_pooled_vector(clip):
    model, tokenizer = clip
    tokens = pad_tokens(tokenizer, ["a red circle above a line", "a red circle above a dot"], 12)
    with torch.no_grad():
        a, b = model.get_text_features(**tokens).pooler_output
    assert (a - b).abs().max() > 1e-4


def test_open_clip_computes_the_same(clip, tmp_path):
    model, tokenizer = clip
    save_open_clip(model, tokenizer, tmp_path / "twin")
    twin = open_clip.create_model(f"local-dir:{tmp_path / 'twin'}").eval()
    read = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'twin'}")
    texts = drawing.CAPTIONS[::20]
    tokens = pad_tokens(tokenizer, texts, MAX_TOKENS)
    assert torch.equal(read(texts), tokens["input_ids"])
    images = torch.randint(
        256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    pixels = clip_normalised(images)
    with torch.no_grad():
        torch.testing.assert_close(
            twin.encode_text(read(texts)), model.get_text_features(**tokens).pooler_output
        )
        torch.testing.assert_close(
            twin.encode_image(pixels), model.get_image_features(pixel_values=pixels).pooler_output
        )
    assert twin.logit_scale.item() == model.logit_scale.item()


def test_training_is_a_function_of_its_seed():
    sizes = {"steps": 3, "batch": 16, "width": 16, "drawings_per_caption": 1}
    torch.manual_seed(1)
    first, _ = train_clip(sizes, seed=5)
    torch.manual_seed(2)  # the global state has no say
    second, _ = train_clip(sizes, seed=5)
    other, _ = train_clip(sizes, seed=6)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.visual_projection.weight, other.visual_projection.weight)
