"""Dialogues with tools: right calls, parallel calls, results put into words, and refusals."""

# pyright: strict
# ruff: noqa: SIM905 - a table of words is read, and changed, as text.

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from values import (
    KEYS,
    SIMPLE,
    Field,
    Schema,
    distinct,
    dumps,
    field,
    nested,
    object_schema,
    spaced,
)
from words import NOUNS, VERBS, Dice, joined

Tool = dict[str, Any]
SMALL_WORDS = {"a", "an", "the", "to", "of", "in", "into", "for", "on", "some", "two", "another"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants of one tool, in words and as the call that grants it."""

    name: str
    does: str  # in a few words
    description: str
    schema: Schema
    said: str  # no full stop
    arguments: dict[str, object]

    @property
    def meaning(self) -> list[str]:
        """Return the words that count of what it does, the verb first."""
        words = self.does.lower().rstrip(".").split()
        return [each for each in words if each not in SMALL_WORDS]

    @property
    def about(self) -> set[str]:
        """Return what it deals with: a tool that shares none of it is of no use here."""
        return {*self.meaning[1:]}

    def same_as(self, other: "Wish") -> bool:
        """Return whether one of the two could be taken for the other."""
        ours, theirs = {*self.meaning}, {*other.meaning}
        return self.name == other.name or ours <= theirs or theirs <= ours

    @property
    def tool(self) -> Tool:
        function = {
            "name": self.name, "description": self.description, "parameters": self.schema
        }  # fmt: skip
        return {"type": "function", "function": function}

    @property
    def call(self) -> dict[str, object]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"type": "function", "function": function}


# Names of a tool | its description | its parameters | ways to ask for it.
# A parameter that one of the ways leaves out is optional.
COMMON = """
get_weather current_weather weather_lookup weather.get | Get the current weather in a city. | city:city/location:city/place:city unit:enum | What is the weather in {0}? ; How is the weather in {0} today? ; Tell me the weather in {0}. ; What's the weather like in {0}? ; Weather in {0} in {1}, please. ; Is it raining in {0}? ; weather {0}
get_forecast forecast weather_forecast | Get the weather forecast for some days. | city:city/location:city days:integer | What will the weather be in {0} for the next {1} days? ; Give me a {1} day forecast for {0}. ; Forecast for {0}, {1} days.
get_time current_time local_time clock.now | Get the local time in a city. | city:city/location:city/timezone:city | What time is it in {0}? ; Tell me the time in {0}. ; What is the local time in {0}?
send_email email.send mail_send | Send an email. | to:email/recipient:person subject:phrase body:phrase | Send an email to {0} with the subject {1} that says {2}. ; Email {0}: {2}, subject {1}. ; Write to {0} about {1} and say {2}.
send_message message_send chat.send text_message | Send a message to a person. | recipient:person/to:person text:phrase/message:phrase | Tell {0} that {1}. ; Send {0} a message: {1}. ; Send a message to {0} that says {1}. ; Text {0} {1}.
set_timer start_timer timer.start | Start a timer. | minutes:integer/duration:integer/seconds:integer label:word | Set a timer for {0} minutes. ; Start a {0} minute timer. ; Set a timer of {0} called {1}.
set_alarm create_alarm alarm.set | Set an alarm. | time:time/at:time | Wake me at {0}. ; Set an alarm for {0}. ; I need an alarm at {0}.
search web_search search_web find_pages | Search the web. | query:phrase/q:phrase limit:integer | Search for {0}. ; Look up {0} online. ; Find {1} pages about {0}. ; Search the web for {0}.
add sum_numbers math.add add_numbers | Add two numbers. | a:integer/x:integer/first:integer b:integer/y:integer/second:integer | What is {0} plus {1}? ; Add {0} and {1}. ; Please add {0} to {1}. ; {0} + {1}
multiply math.multiply product | Multiply two numbers. | a:integer/x:integer b:integer/y:integer | What is {0} times {1}? ; Multiply {0} by {1}. ; {0} * {1}
create_event calendar.add add_event | Add an event to the calendar. | title:phrase date:date time:time | Add {0} to my calendar on {1} at {2}. ; Put {0} in the calendar for {1}. ; Schedule {0} on {1} at {2}.
convert_currency exchange currency.convert | Convert money into another currency. | amount:integer source:currency/from:currency target:currency/to:currency | Convert {0} {1} to {2}. ; How much is {0} {1} in {2}? ; Change {0} {1} into {2}.
translate translate_text text.translate | Translate a text. | text:phrase language:tongue/target:tongue | Translate {0} into {1}. ; How do you say {0} in {1}? ; Say {0} in {1}.
play_music play_song music.play | Play music. | artist:person/song:phrase/genre:word | Play {0}. ; I want to hear {0}. ; Put on some {0}. ; Play something by {0}.
set_brightness light.set dim_lamp | Set the brightness of a lamp. | room:place level:integer/brightness:integer | Set the lamp in the {0} to {1}. ; Dim the {0} to {1} percent. ; Make the {0} light {1} percent.
turn_on switch_on device.on | Turn a device on. | device:word/name:word room:place | Turn on the {0}. ; Switch the {0} in the {1} on. ; Turn on the {0} in the {1}.
read_file file.read open_file | Read a file. | path:path/file:path/file_name:path | Read {0}. ; Show me the file {0}. ; What is in {0}? ; Open {0}.
write_file file.write save_file | Write a text to a file. | path:path text:phrase/content:phrase | Write {1} to {0}. ; Save {1} in the file {0}. ; Put {1} into {0}.
list_files list_folder files.list | List the files in a folder. | folder:path/path:path | List the files in {0}. ; What files are in {0}? ; Show the folder {0}.
book_flight flight.book find_flight | Book a flight. | origin:city/from_city:city destination:city/to_city:city date:date | Book a flight from {0} to {1} on {2}. ; I want to fly from {0} to {1} on {2}. ; Find me a flight from {0} to {1}.
book_table reserve_table restaurant.book | Book a table in a restaurant. | restaurant:person people:integer/guests:integer time:time | Book a table for {1} at {0} at {2}. ; Reserve a table at {0} for {1} people.
get_stock_price stock.price stock_quote | Get the price of a stock. | symbol:code/ticker:code | What is the price of {0}? ; How is the stock {0} doing? ; Price of {0}, please.
add_to_cart cart.add shop_add | Put an item in the shopping cart. | item:word/product:word quantity:integer/count:integer | Add {1} {0} to my cart. ; Put {0} in the cart. ; I want to buy {1} {0}.
add_to_list list.add shopping_list | Add items to the shopping list. | items:words | Add {0} to my shopping list. ; I need to buy {0}. ; Put {0} on the list.
average mean math.mean | Compute the average of numbers. | numbers:numbers/values:numbers | What is the average of {0}? ; Compute the mean of {0}. ; Average {0}.
get_user user.get find_user | Find a user. | user_id:code/id:code | Who is user {0}? ; Find the user {0}. ; Show me user {0}.
triangle_area calculate_triangle_area geometry.triangle | Calculate the area of a triangle. | base:integer height:integer unit:enum | Find the area of a triangle with a base of {0} and a height of {1}. ; What is the area of a triangle with base {0} and height {1}? ; Area of a triangle of base {0} {2} and height {1} {2}.
factorial math.factorial calculate_factorial | Calculate the factorial of a number. | number:integer/n:integer | What is the factorial of {0}? ; Calculate the factorial of {0}. ; {0}!
distance calculate_distance route.distance | Calculate the distance between two cities. | start:city/origin:city end:city/destination:city | How far is it from {0} to {1}? ; What is the distance between {0} and {1}? ; Distance from {0} to {1}.
remind create_reminder reminder.set | Create a reminder. | text:phrase/title:phrase date:date time:time | Remind me on {1} at {2} of {0}. ; Remind me of {0} at {2}. ; Create a reminder: {0}, on {1}.
"""  # noqa: E501

KINDS: dict[str, Sequence[str]] = {
    "currency": "dollars euros pounds yen francs kroner rupees USD EUR GBP JPY CHF SEK INR".split(),
    "tongue": "French German Spanish Italian Japanese Polish Dutch Swedish Greek Turkish".split(),
    "place": "kitchen bedroom bathroom hall garage garden office cellar attic study".split(),
}


def common(dice: Dice) -> Wish:
    """Return a wish that people really have of assistants, in their words."""
    names, description, parameters, asks = (part.strip() for part in dice.pick(_LINES).split("|"))
    fields = [_parameter(dice, each) for each in parameters.split()]
    templates = [each.strip() for each in asks.split(" ; ")]
    needed = [set(re.findall(r"{(\d)}", each)) for each in templates]
    required = [
        each.name for index, each in enumerate(fields) if all(str(index) in one for one in needed)
    ]
    number = int(dice.random() * len(templates))
    said = templates[number].format(*(each.spoken for each in fields))
    arguments = {
        each.name: each.value for index, each in enumerate(fields) if str(index) in needed[number]
    }
    schema = object_schema(fields, required)
    name = dice.pick(names.split())
    return Wish(name, description, description, schema, said.rstrip("."), arguments)


def random(dice: Dice, like: Wish | None = None) -> Wish:
    """Return a wish of a tool that nobody has seen before, which may be a little like another."""
    verb = dice.pick(VERBS) if dice.chance(0.9) else dice.invented()
    noun = dice.pick(NOUNS) if dice.chance(0.8) else dice.word()
    if like and dice.chance(0.5):
        verb = like.meaning[0]
    elif like:
        noun = like.meaning[-1]
    fields = distinct(dice, dice.pick([1, 1, 2, 2, 2, 3, 3, 4]))
    if dice.chance(0.2):
        extra = nested(dice)
        fields = [*(each for each in fields[:2] if each.name != extra.name), extra]
    asked = [each for each in fields if dice.chance(0.85)] or fields[:1]
    required = [each.name for each in asked if dice.chance(0.9)]
    said = dice.shuffled(asked) if dice.chance(0.3) else asked
    name = _tool_name(dice, verb, noun)
    return Wish(
        name,
        f"{verb} {noun}",
        _description(dice, verb, noun),
        object_schema(fields, required),
        _request(dice, name, verb, noun, said, alone=len(fields) == 1),
        {each.name: each.value for each in asked},
    )


def wish(dice: Dice) -> Wish:
    return random(dice) if dice.chance(0.6) else common(dice)


def several(dice: Dice) -> list[Wish]:
    """Return wishes of tools that differ in their names and in what they do."""
    count = dice.pick([1, 1, 2, 2, 3, 3, 4])
    wishes: list[Wish] = []
    while len(wishes) < count:
        each = random(dice, wishes[-1]) if wishes and dice.chance(0.2) else wish(dice)
        if not any(each.same_as(one) for one in wishes):
            wishes.append(each)
    return dice.shuffled(wishes)


def again(dice: Dice, first: Wish) -> Wish | None:
    """Return the same wish with another value for the argument that is said last."""
    for name, value in reversed(first.arguments.items()):
        if isinstance(value, str) and first.said.count(value) == 1 and len(value) > 2:  # noqa: PLR2004
            other = dice.city() if value[0].isupper() else dice.word()
            if "enum" in first.schema["properties"][name] or other in first.said:
                continue
            said = first.said.replace(value, other)
            arguments = {**first.arguments, name: other}
            return replace(first, said=said, arguments=arguments)
    return None


def sentence(text: str) -> str:
    """Return a wish's words with an end."""
    return text if text[-1] in "?!" else text + "."


def result(dice: Dice) -> tuple[str, str]:
    """Return what a tool says, and how to put it into words."""
    if dice.chance(0.15):
        text = dice.pick(["done", "ok", "success"])
        return dumps({dice.pick(["status", "result"]): text}), "It is done."
    if dice.chance(0.12):
        text = dice.pick(["not found", "no connection", "access denied", dice.phrase()])
        return dumps({"error": text}), f"The tool failed: {text}."
    if dice.chance(0.2):
        text = dice.phrase() if dice.chance(0.6) else str(dice.integer())
        return text, f"The result is {text}."
    fields = distinct(dice, dice.randint(1, 3), [*SIMPLE, "words"])
    said = [f"the {spaced(each.name)} is {_plain(each.value)}" for each in fields]
    text = joined(said)
    return dumps({each.name: each.value for each in fields}), text[0].upper() + text[1:] + "."


def _plain(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return joined([str(each) for each in cast("list[object]", value)])
        case _:
            return str(value)


def _parameter(dice: Dice, choice: str) -> Field:
    name, kind = dice.pick(choice.split("/")).split(":")
    if kind in KINDS:
        text = dice.pick(KINDS[kind])
        return Field(name, {"type": "string"}, text, text)
    return field(dice, kind, name)


def _tool_name(dice: Dice, verb: str, noun: str) -> str:
    if dice.chance(0.08):
        return dice.invented()
    forms: list[Callable[[], str]] = [
        lambda: f"{verb}_{noun}",
        lambda: f"{verb}_{noun}",
        lambda: f"{verb}_{noun}",
        lambda: f"{noun}.{verb}",
        lambda: f"{noun}_{verb}",
        lambda: verb + noun.capitalize(),
        lambda: f"{dice.word()}_{noun}_{verb}",
        lambda: f"{verb}_{noun}_by_{dice.pick(KEYS['code'].split())}",
        lambda: f"{verb}_{dice.word()}_{noun}",
        lambda: f"{dice.word()}_{dice.word()}.{verb}{dice.pick(['', '_'])}{noun}",
    ]
    return dice.pick(forms)()


def _description(dice: Dice, verb: str, noun: str) -> str:
    text = f"{verb.capitalize()} {dice.pick(['a', 'the', 'one', 'some'])} {noun}"
    for _ in range(dice.pick([0, 0, 0, 0, 1, 1, 2, 4])):
        text += f" {dice.pick(['in', 'for', 'of', 'with', 'and', 'by'])} the {dice.word()}"
    return text + "."


def _request(
    dice: Dice, name: str, verb: str, noun: str, fields: list[Field], *, alone: bool
) -> str:
    start = dice.pick([
        f"{verb.capitalize()} the {noun}", f"{verb.capitalize()} a {noun}",
        f"Please {verb} the {noun}", f"Can you {verb} a {noun}", f"I want to {verb} a {noun}",
        f"{verb} {noun}", f"Use {name}", f"Call {name}",
    ])  # fmt: skip
    link = dice.pick(["{0} {1}", "{0} {1}", "{0}: {1}", "{0} is {1}", "{0}={1}", "{0} of {1}",
                      "the {0} {1}", "the {0} is {1}"])  # fmt: skip
    said = [link.format(spaced(each.name), each.spoken) for each in fields]
    if alone and dice.chance(0.4):  # a value whose parameter nobody can mistake
        said = [fields[0].spoken]
    return start + dice.pick([" with ", ", ", ": ", " where ", " for "]) + joined(said)


_LINES = [line for line in COMMON.strip().splitlines()]
