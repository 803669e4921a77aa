"""The same request gives the same log-probabilities on both engines.

The weights are the same 16-bit numbers on both sides. Of llama.cpp's own roundings those of
its KV cache are left out, which are several times as large as all others together.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import gguf
from models.engine import llama_process
from models.engine.backend import Output, Prefilled, Work
from models.engine.installed import has_mlx
from models.engine.llama import open_llama
from models.events import TokenLogprob
from models.model import Kind
from tests.running import GREEDY, POCKET_GGUF, POCKET_MLX, Running, ids_of, logprobs_of

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.skipif(not has_mlx(), reason="MLX is not installed")

CLOSE = 0.02
LIKELY = math.log(0.001)
FRAMES = (
    "What is {}?",
    "Tell me a story about {}.",
    "Say {} twice.",
    "Why do people like {}?",
    "Write a poem about {}.",
    "Answer in JSON: {}",
    "Is {} good?",
    "Once upon a time there was {}",
)
WORDS = "Paris", "a dog", "the sea", "music", "bread", "a red car", "seven", "JSON", "winter", "me"
WIDE = (
    "🙂",
    "你好",
    "日本 東京",
    "🎉🎉",
    "naïve café",
    "Привет",
    "😀 and 👍",
    "中文",
    "über",
    "नमस्ते",
)
PROMPTS = [frame.format(word) for frame in FRAMES for word in WORDS]
PROMPTS += [frame.format(word) for frame in FRAMES[:2] for word in WIDE]
TURN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"

Told = list[tuple[tuple[TokenLogprob, ...], list[TokenLogprob], list[int]]]
"""Of each prompt: its own tokens, those of the answer, and what ids were drawn."""


def told_by(running: Running) -> Told:
    works = [
        Work(
            tokens=tuple(running.encode(TURN.format(prompt))),
            max_tokens=4,
            sampling=GREEDY,
            top_logprobs=20,
            prompt_logprobs=True,
        )
        for prompt in PROMPTS
    ]
    # One after the other: beside others a product of matrices is rounded in another order.
    told = [each for work in works for each in running.run(work)]
    return [(read(each), logprobs_of(each), ids_of(each)) for each in told]


def read(outputs: Sequence[Output]) -> tuple[TokenLogprob, ...]:
    (prefilled,) = [each for each in outputs if isinstance(each, Prefilled)]
    return prefilled.logprobs


@pytest.fixture(scope="module")
def no_thread_left_behind() -> None:
    """An engine's thread outlives a test."""


@pytest.fixture(scope="module")
def by_mlx() -> Told:
    from models.engine.mlx import open_mlx  # noqa: PLC0415  # not installed everywhere
    from models.engine.mlx_library import end_thread  # noqa: PLC0415

    def told() -> Told:
        running = Running(open_mlx, POCKET_MLX, kind=Kind.MLX, max_sequences=8)
        found = told_by(running)
        running.close()
        end_thread()
        return found

    with ThreadPoolExecutor(1, "engine-mlx") as thread:
        return thread.submit(told).result()


@pytest.fixture(scope="module")
def by_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("same")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_process, "_WORKER", worker_with_wide_cache(folder))
        running = Running(open_llama, rounded(folder), kind=Kind.LLAMA)
        yield told_by(running)
        running.close()


def worker_with_wide_cache(folder: Path) -> Path:
    """The child's program, with keys and values in 32 bits."""
    text = llama_process._WORKER.read_text()  # pyright: ignore[reportPrivateUsage]
    line = "        params.warmup = False"
    assert line in text
    wide = (
        "        params.cache_type_k = params.cache_type_v = 0\n"
        "        params.flash_attn_type = "
        "xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED\n"
    )
    path = folder / "worker.py"
    path.write_text(text.replace(line, wide + line))
    return path


def rounded(folder: Path) -> Path:
    """pocket as a GGUF file in which norms and biases are what MLX's file has: 16-bit numbers."""
    raw = bytearray(POCKET_GGUF.read_bytes())
    tensors = gguf.read(POCKET_GGUF).tensors
    start = len(raw) - max(each.end for each in tensors)
    for tensor in tensors:
        if tensor.type_name == "F32":
            end = start + tensor.end
            values = np.frombuffer(
                raw, np.float32, tensor.element_count, end - 4 * tensor.element_count
            )
            raw[end - 4 * tensor.element_count : end] = (
                values.astype(np.float16).astype(np.float32).tobytes()
            )
    path = folder / "pocket.gguf"
    path.write_bytes(raw)
    return path


def differences(one: Sequence[TokenLogprob], other: Sequence[TokenLogprob]) -> Iterator[float]:
    """Of each token itself, and of the likely ones in its place."""
    for here, there in zip(one, other, strict=False):
        assert (here.id, here.piece) == (there.id, there.piece)
        if here.logprob >= LIKELY:
            yield abs(here.logprob - there.logprob)
        elsewhere = {each.id: each.logprob for each in there.top}
        for each in here.top:
            if each.logprob >= LIKELY and each.id in elsewhere:
                yield abs(each.logprob - elsewhere[each.id])


def test_answers_are_the_same_and_as_likely(by_mlx: Told, by_llama: Told) -> None:
    for (_, here, ids), (_, there, other_ids) in zip(by_mlx, by_llama, strict=True):
        # llama.cpp does not tell the tokens of half a character at the very end.
        assert ids[: len(other_ids)] == other_ids
        assert 4 * len(other_ids) >= len(ids)
        assert max(differences(here, there)) <= CLOSE
        drawn = zip(here, there, strict=False)
        assert max(abs(one.logprob - other.logprob) for one, other in drawn) <= CLOSE


def test_prompts_are_as_likely(by_mlx: Told, by_llama: Told) -> None:
    for (here, _, _), (there, _, _) in zip(by_mlx, by_llama, strict=True):
        assert len(here) == len(there)
        assert max(differences(here, there)) <= CLOSE


def test_the_likely_ones_are_the_same(by_mlx: Told, by_llama: Told) -> None:
    for told_here, told_there in zip(by_mlx, by_llama, strict=True):
        for here, there in zip(told_here[0], told_there[0], strict=True):
            sure = {each.id for each in here.top[:15] if each.logprob >= LIKELY + CLOSE}
            assert sure <= {each.id for each in there.top}
