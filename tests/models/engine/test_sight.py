"""A picture has its place among the texts of a prompt, and takes up tokens."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image as Pillow

from models import chat
from models.chat import GenerateRequest, Image, Message, Overflow, Part, Text, ToolCall, ToolResult
from models.engine.prompt import Prompt, Prompter
from models.engine.template import ChatTemplate
from models.errors import ContextOverflow, InvalidRequest
from models.pictures import Pictures
from tests.fakes import TEMPLATE, ByteTokenizer, FakeSight

PARTS = ChatTemplate(
    "{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{{ p.text if p.type == 'text' else '<image>' }}{% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)

FIRST = ChatTemplate(
    "{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content if p.type == 'image' %}{{ image_token }}{% endfor %}"
    "{% for p in m.content if p.type == 'text' %}{{ p.text }}{% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def image(width: int = 3) -> Image:
    file = BytesIO()
    Pillow.new("RGB", (width, 10), "red").save(file, "PNG")
    return Image(file.getvalue())


def prompter(
    template: ChatTemplate | None = PARTS, *, context_length: int = 256, by_template: bool = True
) -> Prompter:
    sight = FakeSight(by_template=by_template)
    return Prompter(template, ByteTokenizer(), context_length, sight=sight, marks=True)


def asked(*messages: Message, **changes: Any) -> GenerateRequest:
    return Pictures().seen(GenerateRequest(model="x", prompt=messages, **changes))


def user(*parts: Part) -> Message:
    return Message("user", parts)


def written(prompt: Prompt) -> str:
    return bytes(prompt.tokens).replace(b"\x01", b"#").decode()


SEEN = user(Text("See "), image(), Text(" and "), image(2), Text("!"))


@pytest.mark.parametrize("by_template", [True, False])
@pytest.mark.parametrize("template", [PARTS, TEMPLATE])
def test_pictures_stand_where_they_were(template: ChatTemplate, by_template: bool):
    prompt = prompter(template, by_template=by_template).prepare(asked(SEEN))

    assert "See ### and ##!" in written(prompt)
    assert [each.width for each in prompt.pictures] == [3, 2]
    assert len(prompt.pieces) == 3 and prompt.pieces[1] == " and "


@pytest.mark.parametrize("by_template", [True, False])
def test_a_template_that_asks_what_stands_for_a_picture_places_them_itself(by_template: bool):
    prompt = prompter(FIRST, by_template=by_template).prepare(asked(SEEN))

    assert "[user]#####See  and !" in written(prompt)
    assert [each.width for each in prompt.pictures] == [3, 2]


def test_what_stands_for_a_picture_is_not_for_a_request_to_say():
    with pytest.raises(InvalidRequest, match="image_token"):
        prompter(FIRST).prepare(asked(SEEN, template_variables={"image_token": "#"}))


def test_a_model_without_a_template_has_places_for_them_too():
    assert written(prompter(None).prepare(asked(SEEN))) == "See ### and ##!"


def test_what_a_tool_has_seen_comes_in_its_order():
    looked = Message("assistant", (ToolCall("1", "look", "{}"),))
    told = Message("tool", (ToolResult("1", (Text("There: "), image(4))),))

    prompt = prompter().prepare(asked(SEEN, looked, told))

    assert [each.width for each in prompt.pictures] == [3, 2, 4]
    assert "There: ####" in written(prompt)


@pytest.mark.parametrize("by_template", [True, False])
def test_a_text_that_looks_like_a_place_is_none(by_template: bool):
    faked = user(Text("What is <image>?"), image())

    prompt = prompter(by_template=by_template).prepare(asked(faked))

    assert len(prompt.pictures) == 1
    assert "<\u200bimage>?###" in written(prompt)


def test_a_template_that_leaves_a_picture_out_is_told():
    template = ChatTemplate(
        "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    )

    with pytest.raises(InvalidRequest, match="places for 0 of the 2 pictures"):
        prompter(template).prepare(asked(SEEN))


def test_pictures_count_against_the_context_and_in_a_count():
    wide = asked(user(image(300), Text("!")))

    assert prompter().count(wide) == 300 + len("[user]![assistant]")
    for overflow in Overflow:
        with pytest.raises(ContextOverflow, match=r"31[78] tokens"):
            prompter().prepare(replace(wide, overflow=overflow))


def test_a_chat_that_is_cut_loses_the_pictures_of_what_goes():
    chats = (user(image(200)), chat.assistant("Yes."), user(image(100), Text("And this?")))

    prompt = prompter().prepare(asked(*chats, overflow=Overflow.DROP))

    assert [each.width for each in prompt.pictures] == [100]
    assert prompt.dropped_messages == 2


def test_of_texts_with_pictures_the_middle_goes_and_the_pictures_stay():
    long = user(Text("a" * 500), image(50), Text("b" * 500))

    prompt = prompter().prepare(asked(long, overflow=Overflow.TRUNCATE))

    assert prompt.cut
    assert written(prompt).count("#") == 50


def test_checkpoints_behind_a_picture_count_its_tokens():
    prompt = prompter().prepare(asked(SEEN, chat.assistant("Yes."), chat.user("Sure?")))

    ends = [written(prompt)[:length] for length in prompt.checkpoints]
    assert ends == ["[user]See ### and ##!", "[user]See ### and ##![assistant]Yes.[user]Sure?"]


def test_a_model_that_takes_none_says_so():
    with pytest.raises(InvalidRequest, match="takes no pictures"):
        Prompter(PARTS, ByteTokenizer(), 256).prepare(asked(SEEN))
