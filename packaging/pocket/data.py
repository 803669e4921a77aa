"""Synthetic dialogues without end: pick a kind, make one, render it with the chat template."""

# Jinja's filters have no types.
# pyright: strict, reportUnknownMemberType=false

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import beyond
import calls
import talk
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from objects import in_form, json_list, json_object
from values import dumps
from words import Dice

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mix:
    """The parts of the dialogues that are of a kind of their own, and of those with a thought."""

    copying: float = 0.0  # only copies
    overasking: float = 0.0  # asks for more than so small a model can do
    in_form: float = 0.0  # is answered in a form that is imposed
    thinking: float = 0.15


TEMPLATE = Path(__file__).parent / "chat_template.jinja"
HELD_OUT_MIX = Mix()
_NO_TOOL = ("None of my tools can do that.", "No tool fits.")  # reply, thought


@dataclass(slots=True)
class Dialogue:
    """Messages that end in a reply, which is what the model is to say."""

    kind: str
    messages: list[Message] = field(default_factory=list[Message])
    tools: list[calls.Tool] = field(default_factory=list[calls.Tool])
    thinking: bool = False
    imposed: str = ""  # how the last reply begins, which the model is held to and need not learn

    def says(self, role: str, content: str) -> None:
        self.messages.append({"role": role, "content": content})

    def turn(self, turn: talk.Turn) -> None:
        self.says("user", turn.asked)
        self.says("assistant", turn.reply)
        self.messages[-1]["thought"] = turn.thought


def compile_template(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = dumps
    return environment.from_string(source)


def render(template: Template, dialogue: Dialogue) -> str:
    messages = dialogue.messages
    if dialogue.thinking:
        last = {**messages[-1], "reasoning_content": messages[-1]["thought"]}
        messages = [*messages[:-1], last]
    return template.render(
        messages=messages, tools=dialogue.tools or None, enable_thinking=dialogue.thinking
    )


def prompt(template: Template, dialogue: Dialogue) -> str:
    """Return the text that asks for the last reply."""
    return template.render(
        messages=dialogue.messages[:-1],
        tools=dialogue.tools or None,
        enable_thinking=dialogue.thinking,
        add_generation_prompt=True,
    )


def dialogues(seed: int, mix: Mix = HELD_OUT_MIX) -> Iterator[Dialogue]:
    """Yield dialogues for ever."""
    dice = Dice(seed)
    while True:
        drawn = dice.random()
        if drawn < mix.copying:
            yield _copied(dice)
            continue
        drawn -= mix.copying
        if drawn < mix.overasking:
            dialogue = _overasked(dice)
        else:
            dialogue = _formed(dice) if drawn < mix.overasking + mix.in_form else one(dice)
        dialogue.thinking = not dialogue.imposed and dice.chance(mix.thinking)
        yield dialogue


def one(dice: Dice) -> Dialogue:
    kinds = [_called, _called, _called, _called, _called, _called, _parallel, _parallel,
             _parallel, _answered, _answered, _answered, _refused, _refused, _helpless,
             _structured, _structured, _structured, _chatted, _chatted, _chatted, _recalled,
             _recalled, _played]  # fmt: skip
    return dice.pick(kinds)(dice)


def _copied(dice: Dice) -> Dialogue:
    dialogue = Dialogue("copy")
    for _ in range(dice.randint(1, 3)):
        dialogue.turn(dice.pick([talk.repeat, talk.lookup])(dice))
    return dialogue


def _led(dice: Dice, dialogue: Dialogue) -> Dialogue:
    if dice.chance(0.3):
        dialogue.says("system", dice.pick(talk.SYSTEMS))
    return dialogue


def _chatted(dice: Dice) -> Dialogue:
    dialogue = _led(dice, Dialogue("chat"))
    for _ in range(dice.pick([1, 1, 1, 1, 2, 2, 3, 3, 6, 10])):
        dialogue.turn(talk.large(dice) if dice.chance(0.15) else talk.small(dice))
    return dialogue


def _helpless(dice: Dice) -> Dialogue:
    """Return a wish for a tool where there is none at all."""
    dialogue = _led(dice, Dialogue("helpless"))
    wish = calls.wish(dice)
    while "two numbers" in wish.description:  # that it can do itself
        wish = calls.wish(dice)
    turn = talk.Turn(calls.sentence(wish.said), talk.beyond_me(), "There are no tools.")
    dialogue.turn(turn)
    return dialogue


def _recalled(dice: Dice) -> Dialogue:
    dialogue = _led(dice, Dialogue("recall"))
    told, asked = talk.memory(dice)
    if dice.chance(0.2):
        dialogue.turn(talk.fact(dice))
    dialogue.turn(told)
    for _ in range(dice.pick([0, 0, 1, 1, 2, 3, 6])):
        dialogue.turn(talk.small(dice))
    dialogue.turn(asked)
    return dialogue


def _played(dice: Dice) -> Dialogue:
    dialogue = Dialogue("persona")
    system, turn = talk.persona(dice)
    dialogue.says("system", system)
    dialogue.turn(turn)
    return dialogue


def _structured(dice: Dice) -> Dialogue:
    dialogue = _led(dice, Dialogue("json"))
    dialogue.turn(json_list(dice) if dice.chance(0.2) else json_object(dice))
    return dialogue


def _formed(dice: Dice) -> Dialogue:
    """Return a question whose answer the reader holds to a form, of which nothing is said."""
    dialogue = _led(dice, Dialogue("form"))
    turn, dialogue.imposed = in_form(dice)
    dialogue.turn(turn)
    return dialogue


def _offered(dice: Dice, kind: str) -> tuple[Dialogue, list[calls.Wish]]:
    wishes = calls.several(dice)
    dialogue = _led(dice, Dialogue(kind, tools=[each.tool for each in wishes]))
    if dice.chance(0.1):
        dialogue.turn(talk.easy(dice))
    return dialogue, wishes


def _calls(dialogue: Dialogue, *wishes: calls.Wish) -> None:
    names = " and then ".join(f"{each.name} fits" for each in wishes)
    dialogue.says("assistant", "")
    dialogue.messages[-1] |= {"tool_calls": [each.call for each in wishes], "thought": names + "."}


def _asks(dialogue: Dialogue, wish: calls.Wish) -> None:
    dialogue.says("user", calls.sentence(wish.said))
    _calls(dialogue, wish)


def _called(dice: Dice) -> Dialogue:
    dialogue, wishes = _offered(dice, "call")
    _asks(dialogue, dice.pick(wishes))
    return dialogue


def _parallel(dice: Dice) -> Dialogue:
    dialogue, wishes = _offered(dice, "parallel")
    first = dice.pick(wishes)
    second = calls.again(dice, first)
    if second is None or (len(wishes) > 1 and dice.chance(0.5)):
        second = dice.pick(wishes)
        if second is first:
            return _called(dice)
    link = dice.pick([". ", ". Also: ", ", and also: ", " and "])
    said = calls.sentence(first.said).rstrip(".") + link + calls.sentence(second.said)
    dialogue.says("user", said)
    _calls(dialogue, first, second)
    return dialogue


def _answered(dice: Dice) -> Dialogue:
    """Return a dialogue in which one tool after the other is called, and its result told."""
    dialogue, wishes = _offered(dice, "result")
    for wish in dice.shuffled(wishes)[: dice.pick([1, 1, 2, 3])]:
        _asks(dialogue, wish)
        content, answer = calls.result(dice)
        dialogue.says("tool", content)
        dialogue.says("assistant", answer)
        dialogue.messages[-1]["thought"] = "The tool has answered."
        if dice.chance(0.2):
            dialogue.turn(talk.easy(dice))
    return dialogue


def _refused(dice: Dice) -> Dialogue:
    """Return talk that needs no tool, or a wish that no tool grants."""
    dialogue, wishes = _offered(dice, "refuse")
    if dice.chance(0.4):
        dialogue.turn(talk.easy(dice))
        return dialogue
    offered = {word for each in wishes for word in each.about}
    wish = calls.wish(dice)
    while wish.about & offered:
        wish = calls.wish(dice)
    dialogue.turn(talk.Turn(calls.sentence(wish.said), *_NO_TOOL))
    return dialogue


def _overasked(dice: Dice) -> Dialogue:
    """Return a wish beyond so small a model; or one that is not, said as such are said."""
    kinds = [_beyond] * 14 + [_beyond_tools] + [_hurried_call] * 4 + [_played] * 2
    return dice.pick(kinds)(dice)


def _hurried_call(dice: Dice) -> Dialogue:
    """Return a wish that a tool grants, though it is said in haste."""
    dialogue, wishes = _offered(dice, "call")
    wish = dice.pick(wishes)
    dialogue.says("user", beyond.in_haste(dice, calls.sentence(wish.said)))
    _calls(dialogue, wish)
    return dialogue


def _beyond_tools(dice: Dice) -> Dialogue:
    dialogue, wishes = _offered(dice, "refuse")
    offered = {word for each in wishes for word in each.meaning}
    wish = beyond.wish(dice)
    while offered & {*re.findall("[a-z]+", wish.lower())}:
        wish = beyond.wish(dice)
    dialogue.turn(talk.Turn(wish, *_NO_TOOL))
    return dialogue


def _beyond(dice: Dice) -> Dialogue:
    dialogue = Dialogue("beyond")
    if dice.chance(0.12):
        system, name = beyond.named(dice)
        dialogue.says("system", system)
        dialogue.turn(beyond.turn(dice, name))
        return dialogue
    if dice.chance(0.15):
        dialogue.says("system", beyond.part(dice))
    else:
        _led(dice, dialogue)
    for _ in range(dice.pick([0, 0, 0, 0, 0, 1, 1, 2, 4])):
        dialogue.turn(dice.pick([talk.small, beyond.turn, beyond.hurried])(dice))
    dialogue.turn(dice.pick([beyond.turn, beyond.turn, beyond.hurried])(dice))
    return dialogue
