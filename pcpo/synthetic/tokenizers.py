"""The demo's tokenizers, built by hand from the captions' words.

A trained BPE vocabulary is not the same in every process (ties are broken by hash order), so these
are spelled out: sorted, and equal everywhere. Words of the captions are single tokens, a drawn
word is one token per letter, and any other word is split into letters.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase, digits

from transformers import CLIPTokenizer, T5Tokenizer

from pcpo.synthetic import drawing

MAX_TOKENS = 12
_END = "</w>"
_PUNCTUATION = "\"'.,!?-:"


def vocabulary_words() -> tuple[str, ...]:
    """Every lower-case word that a caption, a word prompt or a template uses, sorted."""
    texts = [*drawing.CAPTIONS, "the word", "the image contains", "a thing", "something"]
    texts += drawing.WEAK_COLOURS
    return tuple(sorted({word for text in texts for word in text.split()}))


def clip_tokenizer(max_tokens: int = MAX_TOKENS) -> CLIPTokenizer:
    """Lower-casing BPE; each word is built from its end ("t</w>", "rt</w>", ..., "heart</w>").

    Merging from the end keeps merges out of drawn words (see words._RESERVED_ENDINGS). The end
    token has the highest id of the vocabulary: `CLIPTextModel` with `eos_token_id=2` and open_clip
    both pool at the position of the highest id.
    """
    characters = [*ascii_lowercase, *digits, *_PUNCTUATION]
    tokens = [*characters, *(character + _END for character in characters)]
    merges: list[tuple[str, str]] = []
    for word in vocabulary_words():
        for start in range(len(word) - 2, -1, -1):
            merge = (word[start], word[start + 1 :] + _END)
            if merge not in merges:
                merges.append(merge)
                tokens.append("".join(merge))
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_tokens)


def t5_tokenizer(max_tokens: int = MAX_TOKENS) -> T5Tokenizer:
    """Case-sensitive unigram model: words with their leading space, then single characters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -1.0) for word in vocabulary_words()]
    pieces += [('▁"', -2.0), ("▁The", -2.0)]
    characters = [*ascii_uppercase, *ascii_lowercase, *digits, *_PUNCTUATION, "▁"]
    pieces += [(character, -10.0) for character in characters]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=max_tokens)
