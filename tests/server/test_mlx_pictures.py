"""Pictures through a real server to a vision model on MLX, of random weights."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

from app.services import open_everything
from models.engine.installed import has_mlx_vlm
from tests.server.conftest import Serving

pytestmark = pytest.mark.skipif(
    not has_mlx_vlm(), reason="mlx-vlm is not installed: pip install -e '.[mlx,vision]'"
)

FORM = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"enum": [1, 2, 3]}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> None:
    """The engine outlives a test: the fixture below ends it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    from benchmarks.seeing_models import write_seeing  # noqa: PLC0415 (it needs mlx)
    from models.engine.mlx_library import end_thread  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("seeing") / "eyes"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(write_seeing, folder, "qwen2_vl").result()
        thread.submit(end_thread).result()
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        services.store.import_path(folder, "eyes")
        serving = Serving(services.residency, services.store)
        yield serving
        serving.stop()


def drawn(colour: str, width: int = 90) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, 70), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def asked(*pictures: str, **changes: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": f"data:;base64,{each}"} for each in pictures]
    said = {"role": "user", "content": [*parts, {"type": "text", "text": "What is it?"}]}
    return {"model": "eyes", "messages": [said], "temperature": 0, "max_tokens": 60, **changes}


def right(text: str) -> bool:
    found = json.loads(text)
    return set(found) == {"colour", "count"} and found["colour"] in ("red", "blue")


def test_an_answer_has_the_form_and_each_token_its_log_probability(server: Serving):
    form = {"type": "json_schema", "json_schema": {"name": "seen", "schema": FORM, "strict": True}}
    body = asked(drawn("red"), response_format=form, logprobs=True, top_logprobs=3)
    answer = server.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.body
    (choice,) = answer.json["choices"]

    assert right(choice["message"]["content"])
    told = choice["logprobs"]["content"]
    written = b"".join(bytes(each["bytes"]) for each in told).decode()
    assert written == choice["message"]["content"]
    assert all(len(each["top_logprobs"]) == 3 and each["logprob"] <= 0 for each in told)


def test_it_is_kept_to_while_it_is_written_and_counted(server: Serving):
    said = {"role": "user", "content": "What is it?", "images": [drawn("blue")]}
    body = {"model": "eyes", "messages": [said], "format": FORM, "options": {"temperature": 1}}
    answer = server.ask("POST", "/api/chat", body)
    assert answer.status == 200, answer.body

    *pieces, last = answer.lines
    assert right("".join(each["message"]["content"] for each in (*pieces, last)))
    del said["images"]
    without = server.ask("POST", "/api/chat", {**body, "stream": False}).json
    assert last["prompt_eval_count"] > without["prompt_eval_count"]


def test_several_at_a_time_see_each_their_own(server: Serving):
    colours = ["red", "green", "blue"]
    alone = [server.ask("POST", "/v1/chat/completions", asked(drawn(each))) for each in colours]

    with ThreadPoolExecutor(3) as threads:
        bodies = [asked(drawn(each)) for each in colours]
        beside = list(
            threads.map(lambda body: server.ask("POST", "/v1/chat/completions", body), bodies)
        )

    told = [[each.json["choices"][0]["message"]["content"] for each in answers]
            for answers in (alone, beside)]  # fmt: skip
    assert told[0] == told[1]
    assert len(set(told[0])) > 1
