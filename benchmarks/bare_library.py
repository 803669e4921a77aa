"""The process that runs a library alone: what our engine is measured against.

    python -m benchmarks.bare_library llama|mlx PATH

Each line of JSON on stdin, {"prompts": [TEXT…], "max_tokens": N}, is a batch that runs at
once; the answer, a line on stdout, is {"tokens": N, "seconds": N}.
"""

# xllamacpp and mlx_lm have no type stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import repeat
from typing import Any

from benchmarks.random_models import CONTEXT_LENGTH
from models.engine.llama_process import decode_threads

SEQUENCES = 32
RunBatch = Callable[[list[str], int], int]  # prompts and max_tokens to tokens written


def open_llama(path: str) -> RunBatch:
    """llama.cpp's server in this process, set as models/engine/llama_worker.py sets it."""
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_parallel = SEQUENCES
    params.n_ctx = CONTEXT_LENGTH * SEQUENCES
    params.kv_unified = True
    params.ctx_shift = False
    params.fit_params = False
    params.n_batch = params.n_ubatch = 256
    params.cpuparams.n_threads = decode_threads()
    params.cpuparams_batch.n_threads = decode_threads()
    server = xllamacpp.Server(params)

    def run_one(prompt: str, max_tokens: int) -> int:
        chunks = 0

        def count(_chunk: object) -> bool:
            nonlocal chunks
            chunks += 1
            return False  # go on

        body = {"prompt": prompt, "n_predict": max_tokens, "temperature": 0.0, "stream": True}
        server.handle_completions(body, count)
        return chunks - 1  # the last one only ends the stream

    def run(prompts: list[str], max_tokens: int) -> int:
        with ThreadPoolExecutor(len(prompts)) as pool:
            return sum(pool.map(run_one, prompts, repeat(max_tokens)))

    return run


def open_mlx(path: str) -> RunBatch:
    """mlx_lm's BatchGenerator and nothing else: token ids, no text."""
    load = import_module("mlx_lm.utils").load
    generate: Any = import_module("mlx_lm.generate")
    generate.maybe_set_recommended_wired_limit = lambda: None
    model, tokenizer = load(path)
    batch = generate.BatchGenerator(
        model,
        stop_tokens=[[token] for token in tokenizer.eos_token_ids],
        completion_batch_size=SEQUENCES,
        prefill_batch_size=1,
        prefill_step_size=256,
    )

    def run(prompts: list[str], max_tokens: int) -> int:
        batch.insert([tokenizer.encode(prompt) for prompt in prompts], [max_tokens] * len(prompts))
        running, tokens = len(prompts), 0
        while running:
            _, responses = batch.next()
            tokens += len(responses)
            running -= sum(response.finish_reason is not None for response in responses)
        return tokens

    return run


def main() -> None:
    kind, path = sys.argv[1:]
    run = {"llama": open_llama, "mlx": open_mlx}[kind](path)
    for line in sys.stdin:
        batch = json.loads(line)
        started = time.perf_counter()
        tokens = run(batch["prompts"], batch["max_tokens"])
        answer = {"tokens": tokens, "seconds": time.perf_counter() - started}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # neither library leaves in order without being asked to


if __name__ == "__main__":
    main()
