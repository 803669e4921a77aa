"""The pocket model's vocabulary: three libraries read it, and must read it alike."""

# ruff: noqa: RUF001 - characters that look alike are what is tried here.

import random
import threading
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import resources
from models import builtin
from models.engine.backend import LoadPlan
from models.engine.llama import open_llama
from models.model import Kind

POCKET = Path(resources.__file__).with_name("pocket")
WRITTEN = [
    "What is the capital of France?",
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n",
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n</tool_call>',
    "<tool_response>\n{}\n</tool_response>",
    "<think>\nThat is easy.\n</think>\n\nYes.",
    "<think><think></tool_call>x<|endoftext|>",
    "<|im_start|",
    "<|im_end|>>",
    "</thin",
    "< think >",
    "it's, we're, they've, I'm, you'll, he'd, don't",
    "'silver' 'tea' 'madam' 'driver'",
    "   leading",
    "trailing   ",
    "in    the    middle",
    "\n\n\n",
    " \n \n",
    "\t\ttabs\there",
    "\r\n\r\n",
    "a\u00a0b\u2003c\u3000d",
    "1234567890",
    "3.14159, -2.5e-10, 0x1F, 1,000,000",
    "x1y22z333",
    "٣٤٥ १२३ ⅷ ½ ²",
    "get_user_by_id(user_id: string, days?: integer)",
    "fetchUserRecord-v2.final_FINAL.txt",
    "/home/anna/docs/notes.md",
    "C:\\Users\\Ben\\x.csv",
    "anna@example.org",
    "https://example.com/a?b=c&d=%20e#f",
    '{"a": [1, 2, {"b": null}], "c": true}',
    '"}}}\n',
    "]]}]}",
    "a=b==c!=d<=e>=f",
    "$100 + €50 = £?",
    "x^2 ~ y | z & `code` ``` ```python\nprint(1)\n```",
    "ÄÖÜ äöü ß ẞ",
    "façade naïve coöperate",
    "e\u0301 a\u0308 n\u0303",
    "Привет, мир!",
    "Γειά σου Κόσμε",
    "こんにちは、世界。",
    "你好,世界!",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "🐶🐱🦊",
    "👩‍👩‍👧‍👦 family",
    "🇫🇷🇩🇪",
    "☀️ and ❄️",
    "👍🏽",
    "a🎵b 🔑c",
    "…—–“”‘’«»¿¡",
    "•◦▪ → ← ⇒",
    "∑∫√∞≠≤",
    "𝒜𝓁𝑔𝑒𝒷𝓇𝒶",
    "\u200b\u200d\ufeff",
    "\x00\x01\x1f\x7f",
    "\U0001f9ff\U0010fffd",
    "İstanbul ıspanak",
    "ǅ ǈ ﬁ ﬂ",
]
# One of each kind of character that a rule for splitting could treat in its own way.
KINDS = [*"aZé漢ひ한яλ", *"019٣", *" \t\n\r", *"'\"_-.,:;!?()[]{}/\\@#", *"+=<>|^~$€", "🐶",
         "\u0301", "<think>", "<|im_end|>", " the", " get", "weather", "'s", "'ll"]  # fmt: skip


def texts() -> list[str]:
    chance = random.Random(4)
    mixed = ["".join(chance.choices(KINDS, k=chance.randint(1, 30))) for _ in range(140)]
    return [*WRITTEN, *mixed]


@pytest.fixture(scope="module")
def read_by_llama_cpp() -> dict[str, list[int]]:
    (model,) = (each for each in builtin.read(POCKET) if each.kind is Kind.LLAMA)
    woken = threading.Event()
    backend = open_llama(LoadPlan(model, 256, max_sequences=1), woken.set)
    try:
        while not backend.ready():
            woken.wait(0.05)
        return {text: backend.prompter.tokenizer.encode(text) for text in texts()}
    finally:
        backend.close()


def test_three_libraries_read_two_hundred_texts_alike(read_by_llama_cpp: dict[str, list[int]]):
    plain = Tokenizer.from_file(str(POCKET / "mlx/tokenizer.json"))
    of_transformers = AutoTokenizer.from_pretrained(POCKET / "mlx")
    assert len(read_by_llama_cpp) >= 200

    for text, ids in read_by_llama_cpp.items():
        assert plain.encode(text, add_special_tokens=False).ids == ids, text
        assert of_transformers.encode(text, add_special_tokens=False) == ids, text


def test_every_text_comes_back_from_its_tokens():
    plain = Tokenizer.from_file(str(POCKET / "mlx/tokenizer.json"))

    for text in texts():
        assert plain.decode(plain.encode(text).ids, skip_special_tokens=False) == text
