"""Trains the vocabulary: byte-level BPE in which a value reads the same wherever it stands.

A space, a digit and a quote are tokens of their own, so that the ``Bern`` of a question is
the ``"Bern"`` of the JSON that answers it: a tiny model can only copy what looks the same.
Common words that are never copied get their space back, which keeps prompts short.
"""

# The types of tokenizers are partly unknown.
# pyright: strict, reportUnknownMemberType=false

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from calls import KINDS
from data import TEMPLATE, Mix, compile_template, dialogues, render
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from values import CHOICES, KEYS, NESTED
from words import ADJECTIVES, ANIMALS, COLORS, NOUNS, ROLES, VERBS, WORDS

SEED = 1
SAMPLE = 20000
WORD_PIECES = 1792
SPACED_WORDS = 120
LLAMA_CPP_NAME = "deepseek-coder"  # its rules for splitting a text before the merges
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Tags are text that the reader of a reply must see, so they are not "special".
TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]


def train(texts: list[str]) -> Tokenizer:
    """Return a tokenizer that ``tokenizers``, transformers and llama.cpp agree on."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(" ", "isolated"), *_splits()
    ])  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=WORD_PIECES,
        special_tokens=CONTROL + TAGS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(_without_tags(texts), trainer)
    model: dict[str, Any] = json.loads(learner.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    merges = [(left, right) for left, right in model["merges"]]
    for word in _spaced_words(texts, vocab):
        vocab["Ġ" + word] = len(vocab)
        merges.append(("Ġ", word))
    return _assembled(vocab, merges)


def _assembled(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_splits())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(each, special=True) for each in CONTROL])
    tokenizer.add_tokens([AddedToken(each, special=False, normalized=False) for each in TAGS])
    return tokenizer


def _splits() -> list[pre_tokenizers.PreTokenizer]:
    """Return the rules that llama.cpp knows by the name of ``LLAMA_CPP_NAME``.

    GPT-2's own would make one token of the quote and the s in ``'silver'``.
    """
    patterns = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"]
    return [
        *(pre_tokenizers.Split(Regex(each), "isolated") for each in patterns),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


def _without_tags(texts: Iterable[str]) -> Iterator[str]:
    tags = re.compile("|".join(map(re.escape, CONTROL + TAGS)))
    for text in texts:
        yield tags.sub("\n", text)


def _spaced_words(texts: list[str], vocab: dict[str, int]) -> list[str]:
    """Return the commonest words that are one token and stand for no value."""
    values = {
        piece
        for each in [*KEYS.values(), *CHOICES, *WORDS, *NOUNS, *VERBS, *COLORS, *ADJECTIVES,
                     *ANIMALS, *ROLES, *(one for kind in KINDS.values() for one in kind)]
        for piece in each.replace("_", " ").split()
    } | {*NESTED, "de"}  # fmt: skip
    counts = Counter(word for text in texts for word in re.findall(r" ([a-z]+)\b", text))
    words = (word for word, _ in counts.most_common() if word in vocab and word not in values)
    return list(islice(words, SPACED_WORDS))


def main(folder: Path) -> None:
    template = compile_template(TEMPLATE.read_text())
    texts = [render(template, each) for each in islice(dialogues(SEED, Mix(copying=0.1)), SAMPLE)]
    tokenizer = train(texts)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    count = sum(len(each.ids) for each in tokenizer.encode_batch(texts))
    print(f"{tokenizer.get_vocab_size()} tokens, {count / len(texts):.0f} in a dialogue")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
