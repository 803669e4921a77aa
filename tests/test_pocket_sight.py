"""What the built-in model sees, on both engines: pictures that a person might draw, in the ways in
which the window and the clients of the wires show them."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from io import BytesIO
from itertools import cycle
from typing import Any, NamedTuple

import pytest
from PIL import Image, ImageDraw, ImageFont

from app.chat.prompt import prompt_of
from app.services import Services, api_server, open_everything
from models import chat
from models.chat import GenerateRequest, Message, SamplingParams
from models.engine.installed import has_mlx_vlm
from models.events import Finished, ReasoningDelta
from models.model import Kind
from models.records.values import user_turn
from tests.fakes import A_TEST
from tests.listener import Listener

HOST = "127.0.0.1"
GREEDY = SamplingParams(temperature=0.0)
SIDE = 240
MOST_WRONG = 2  # of the pictures: the model's card has the figures
MOST_UNLIKE = 1

Pen = ImageDraw.ImageDraw
Drawn = Callable[[Pen], None]


class Shown(NamedTuple):
    png: bytes
    question: str
    answer: str


class Said(NamedTuple):
    thought: str
    text: str


def circle(x: int, y: int, radius: int, color: str) -> Drawn:
    return lambda pen: pen.circle((x, y), radius, color)


def square(x: int, y: int, half: int, color: str) -> Drawn:
    return lambda pen: pen.rectangle((x - half, y - half, x + half, y + half), color)


def triangle(x: int, y: int, half: int, color: str) -> Drawn:
    corners = [(x, y - half), (x - half, y + half), (x + half, y + half)]
    return lambda pen: pen.polygon(corners, color)


def number(text: str, color: str, size: int = 150) -> Drawn:
    font = ImageFont.load_default(size)
    return lambda pen: pen.text((SIDE / 2, SIDE / 2), text, color, font, "mm")


LOW, MIDDLE, HIGH = 45, 120, 195
TWO = [circle(LOW, MIDDLE, 33, "red"), square(HIGH, MIDDLE, 28, "blue")]
THREE = [circle(x, MIDDLE, 33, "green") for x in (LOW, MIDDLE, HIGH)]
PICTURES: list[tuple[list[Drawn], str, str]] = [
    ([circle(MIDDLE, MIDDLE, 70, "red")], "What is the color?", "red"),
    ([square(MIDDLE, MIDDLE, 60, "blue")], "What colour is it?", "blue"),
    ([triangle(MIDDLE, MIDDLE, 65, "green")], "Tell me the color.", "green"),
    ([circle(LOW, MIDDLE, 33, "orange")], "Which color do you see?", "orange"),
    ([circle(MIDDLE, MIDDLE, 60, "black")], "What is the shape?", "circle"),
    ([square(MIDDLE, MIDDLE, 65, "red")], "What is this?", "square"),
    ([triangle(MIDDLE, MIDDLE, 60, "blue")], "Which shape do you see?", "triangle"),
    ([circle(LOW, LOW, 33, "red")], "Where is it?", "top left"),
    ([square(LOW, HIGH, 28, "blue")], "What is the place?", "bottom left"),
    ([circle(MIDDLE, MIDDLE, 60, "red")], "What do you see?", "circle"),
    ([circle(LOW, LOW, 33, "red")], "How many shapes are there?", "1"),
    (TWO, "How many figures do you see?", "2"),
    (THREE, "Count the shapes.", "3"),
    (TWO, "What color is the square?", "blue"),
    ([number("7", "black")], "What is the number?", "7"),
    ([number("42", "blue")], "Read the number.", "42"),
]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_everything(tmp_path_factory.mktemp("home")) as services:
        yield services


@pytest.fixture(scope="module")
def port(services: Services) -> Iterator[int]:
    api = api_server(services, HOST, [0])
    api.start()
    yield api.ports[0]
    api.stop()


@pytest.fixture(scope="module")
def models(services: Services) -> list[str]:
    """The built-in model on each engine that sees here."""
    builtin = [each for each in services.store.list() if each.builtin]
    return [str(each.name) for each in builtin if has_mlx_vlm() or each.kind is Kind.LLAMA]


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    return [Shown(drawing(drawn), question, answer) for drawn, question, answer in PICTURES]


def drawing(drawn: list[Drawn]) -> bytes:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    for draw in drawn:
        draw(ImageDraw.Draw(picture))
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def in_the_window(services: Services, _: int, model: str, shown: Shown, *, thinking: bool) -> Said:
    turn = user_turn(shown.question, [chat.Image(shown.png)])
    return ask(services, model, prompt_of([turn], sees=True), thinking=thinking)


def ask(services: Services, model: str, prompt: tuple[Message, ...], *, thinking: bool) -> Said:
    request = GenerateRequest(
        model=model, prompt=prompt, thinking=thinking, sampling=GREEDY, max_tokens=60
    )
    listener = Listener()
    services.residency.submit(request, listener, origin=A_TEST)
    assert isinstance(listener.end(), Finished)
    thoughts = (each.text for each in listener.events if isinstance(each, ReasoningDelta))
    return Said("".join(thoughts), listener.text)


def over_ollama(_: Services, port: int, model: str, shown: Shown, *, thinking: bool) -> Said:
    """Its chat puts the picture behind the text."""
    message = {
        "role": "user",
        "content": shown.question,
        "images": [b64encode(shown.png).decode()],
    }
    body = {"messages": [message], "think": thinking, "options": {"temperature": 0}}
    said = post(port, "/api/chat", {"model": model, **body})["message"]
    return Said(said.get("thinking", ""), said["content"])


def over_openai(_: Services, port: int, model: str, shown: Shown, *, thinking: bool) -> Said:
    """The picture between two texts."""
    address = f"data:image/png;base64,{b64encode(shown.png).decode()}"
    parts = [
        {"type": "text", "text": "Here is a picture."},
        {"type": "image_url", "image_url": {"url": address}},
        {"type": "text", "text": shown.question},
    ]
    body = {
        "model": model,
        "messages": [{"role": "user", "content": parts}],
        "temperature": 0,
        "chat_template_kwargs": {"enable_thinking": thinking},
    }
    said = post(port, "/v1/chat/completions", body)["choices"][0]["message"]
    return Said(said.get("reasoning_content") or "", said["content"])


def post(port: int, path: str, body: dict[str, Any]) -> Any:
    with closing(HTTPConnection(HOST, port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body | {"stream": False}))
        response = connection.getresponse()
        said = json.loads(response.read())
        assert response.status == 200, said
    return said


WAYS = [(in_the_window, True), (over_ollama, True), (over_openai, False)]  # and whether it thinks


@pytest.fixture(scope="module")
def replies(
    services: Services, port: int, models: list[str], shown: list[Shown]
) -> dict[str, list[Said]]:
    """What each model says of each picture, which are shown in one way after the other."""
    return {
        model: [
            way(services, port, model, each, thinking=thinking)
            for each, (way, thinking) in zip(shown, cycle(WAYS), strict=False)
        ]
        for model in models
    }


def test_it_sees_what_is_drawn(replies: dict[str, list[Said]], shown: list[Shown]):
    for model, said in replies.items():
        assert not any(each.thought for each in said)  # it looks, and answers at once
        wrong = [
            (each.question, each.answer, reply)
            for each, reply in zip(shown, said, strict=True)
            if each.answer != reply.text
        ]
        assert len(wrong) <= MOST_WRONG, (model, wrong)


def test_it_sees_the_same_on_both_engines(replies: dict[str, list[Said]]):
    unlike = [each for each in zip(*replies.values(), strict=True) if len(set(each)) > 1]

    assert len(unlike) <= MOST_UNLIKE, unlike


@pytest.mark.parametrize("thinking", [False, True])
def test_it_answers_a_second_question_and_one_about_a_second_picture(
    services: Services, models: list[str], replies: object, thinking: bool
):
    red = [circle(MIDDLE, MIDDLE, 70, "red")]
    blue = [square(MIDDLE, MIDDLE, 60, "blue")]
    first = Message("user", (chat.Image(drawing(red)), chat.Text("What color is it?")))
    turns = (first, chat.assistant("red"))
    again = (*turns, chat.user("What shape is it?"))
    another = Message("user", (chat.Text("And what color is it?"), chat.Image(drawing(blue))))

    for model in models:
        assert ask(services, model, again, thinking=thinking).text == "circle"
        assert ask(services, model, (*turns, another), thinking=thinking).text == "blue"
