import subprocess
import sys

import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer, T5Tokenizer

from pcpo.synthetic import drawing, words
from pcpo.synthetic.stable_diffusion import text_config
from pcpo.synthetic.tokenizers import clip_tokenizer, t5_tokenizer

REFERENCE = "The image contains a red circle above a line"
TEXTS = [*drawing.CAPTIONS, *(words.prompt(word) for word in words.WORDS), REFERENCE]

_PRINT_IDS = """
from pcpo.synthetic.tokenizers import clip_tokenizer, t5_tokenizer
for make in (clip_tokenizer, t5_tokenizer):
    tokenizer = make()
    print(sorted(tokenizer.get_vocab().items()))
    print(tokenizer(["a purple moon under a dot", 'the word "TOLE"']).input_ids)
"""


@pytest.mark.parametrize("make", [clip_tokenizer, t5_tokenizer])
def test_one_token_per_word_and_per_drawn_letter(make):
    tokenizer = make()
    for text in drawing.CAPTIONS:
        assert len(tokenizer.tokenize(text)) == len(text.split())
    for word in words.WORDS:
        # the, word, two quotes, and the letters
        assert len(tokenizer.tokenize(words.prompt(word))) == 4 + len(word)
    assert len(tokenizer.tokenize(REFERENCE)) == len(REFERENCE.split())
    assert len(tokenizer(REFERENCE).input_ids) <= tokenizer.model_max_length
    assert tokenizer.unk_token_id not in tokenizer(TEXTS, add_special_tokens=False).input_ids[0]


@pytest.mark.parametrize(
    ("make", "kind"), [(clip_tokenizer, CLIPTokenizer), (t5_tokenizer, T5Tokenizer)]
)
def test_saved_tokenizers_load_and_give_the_same_ids(make, kind, tmp_path):
    tokenizer = make()
    tokenizer.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    options = {"padding": "max_length", "truncation": True, "max_length": 12}
    assert loaded(TEXTS, **options).input_ids == tokenizer(TEXTS, **options).input_ids
    assert loaded.model_max_length == 12


def test_the_end_token_has_the_highest_id():
    tokenizer = clip_tokenizer()
    assert tokenizer.eos_token_id == len(tokenizer) - 1 == max(tokenizer.get_vocab().values())


def test_the_pooled_vector_is_the_state_at_the_end_and_sees_the_last_word():
    tokenizer = clip_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = CLIPTextModel(text_config(tokenizer, 16)).eval()
    texts = ["red circle", "red square", "a red circle under a dot"]
    ids = tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        output = encoder(ids)
    ends = [len(tokenizer(text).input_ids) - 1 for text in texts]
    expected = output.last_hidden_state[torch.arange(3), torch.tensor(ends)]
    torch.testing.assert_close(output.pooler_output, expected)
    assert (output.pooler_output[0] - output.pooler_output[1]).abs().max() > 1e-3


def test_another_process_gives_equal_ids(capsys):
    other = subprocess.run(
        [sys.executable, "-c", _PRINT_IDS],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    exec(_PRINT_IDS, {})
    assert capsys.readouterr().out == other
    assert "moon" in other
