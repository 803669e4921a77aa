"""Parameters of every shape: a name, its JSON schema, a value, and how a person says the value."""

# pyright: strict

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from words import ADJECTIVES, COLORS, NOUNS, Dice, joined

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a tool, or one key of an object."""

    name: str
    schema: Schema
    value: object
    spoken: str


KEYS = {
    "person": "name user owner author recipient guest customer teacher patient driver sender host",
    "city": "city location destination origin place town",
    "word": "item color topic category genre language material animal fruit label keyword status",
    "phrase": "title message query note description subject text reason comment body content",
    "email": "email contact to reply_to",
    "date": "date start_date end_date due_date day birthday deadline",
    "time": "time start_time end_time alarm_time",
    "path": "path file folder file_path source target",
    "code": "id order_id ticket_id room serial account_id code user_id",
    "integer": "count amount quantity limit age year size minutes seconds pages seats level volume "
    "width height max_results number base a b x y n days floor",
    "number": "price weight temperature distance rate radius latitude longitude length speed score",
    "boolean": "urgent public recursive enabled verbose silent repeat dry_run active confirmed",
    "enum": "unit mode priority format style color size type status",
    "words": "tags items names colors ingredients labels words cities guests",
    "numbers": "numbers values scores ids pages prices",
}
NESTED = ["address", "options", "owner", "details", "filter", "range", "settings"]
SIMPLE = [each for each in KEYS if each not in ("words", "numbers")]
CHOICES = ["celsius fahrenheit", "low medium high", "small medium large", "metric imperial",
           "json xml csv", "on off auto", "asc desc", "open closed", "day week month year",
           "red green blue", "short long", "public private", "km miles"]  # fmt: skip


def field(dice: Dice, kind: str, name: str | None = None) -> Field:
    """Return a parameter of one of the kinds in ``KEYS``, with a value."""
    name = name or _key(dice, kind)
    match kind:
        case "boolean":
            yes = dice.chance(0.5)
            spoken = dice.pick(["true", "yes"] if yes else ["false", "no"])
            return Field(name, {"type": "boolean"}, yes, spoken)
        case "integer":
            value = dice.integer()
            return Field(name, {"type": "integer"}, value, str(value))
        case "number":
            number = dice.number()
            return Field(name, {"type": "number"}, number, str(number))
        case "enum":
            return _choice(dice, name)
        case "words" | "numbers":
            return _array(dice, kind, name)
        case _:
            text = STRINGS[kind](dice)
            return Field(name, {"type": "string"}, text, _quoted(dice, text))


def nested(dice: Dice) -> Field:
    """Return a parameter that is an object of two or three plain ones."""
    inner = distinct(dice, dice.randint(2, 3), SIMPLE)
    name = dice.pick(NESTED)
    schema = object_schema(inner)
    spoken = joined([f"{spaced(each.name)} {each.spoken}" for each in inner])
    return Field(name, schema, {each.name: each.value for each in inner}, spoken)


def distinct(dice: Dice, count: int, kinds: list[str] | None = None) -> list[Field]:
    """Return fields of different names."""
    fields: dict[str, Field] = {}
    while len(fields) < count:
        kind = dice.pick(kinds or list(KEYS))
        each = field(dice, kind)
        fields[each.name] = each
    return list(fields.values())


def object_schema(fields: list[Field], required: list[str] | None = None) -> Schema:
    names = [each.name for each in fields]
    return {
        "type": "object",
        "properties": {each.name: each.schema for each in fields},
        "required": names if required is None else required,
    }


def spaced(name: str) -> str:
    """Return an identifier as a person says it."""
    return name.replace("_", " ").replace(".", " ")


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(dice: Dice, kind: str) -> str:
    if dice.chance(0.12):
        return dice.invented()
    name = dice.pick(KEYS[kind].split())
    if dice.chance(0.15):
        name = dice.pick(ADJECTIVES + NOUNS) + "_" + name
    return name


def _quoted(dice: Dice, text: str) -> str:
    return f'"{text}"' if dice.chance(0.15) else f"'{text}'" if dice.chance(0.08) else text


def _choice(dice: Dice, name: str) -> Field:
    values = dice.pick(CHOICES).split() if dice.chance(0.6) else _inventions(dice)
    value = dice.pick(values)
    return Field(name, {"type": "string", "enum": values}, value, value)


def _inventions(dice: Dice) -> list[str]:
    return list(dict.fromkeys(dice.word() for _ in range(dice.randint(2, 4))))


def _array(dice: Dice, kind: str, name: str) -> Field:
    count = dice.randint(2, 4)
    if kind == "numbers":
        numbers = [dice.integer() for _ in range(count)]
        schema = {"type": "array", "items": {"type": "integer"}}
        return Field(name, schema, numbers, joined([str(each) for each in numbers]))
    make = dice.pick([Dice.word, Dice.word, Dice.name, Dice.city])
    texts = [make(dice) for _ in range(count)]
    return Field(name, {"type": "array", "items": {"type": "string"}}, texts, joined(texts))


STRINGS: dict[str, Callable[[Dice], str]] = {
    "person": Dice.name,
    "city": Dice.city,
    "word": lambda dice: dice.pick(COLORS) if dice.chance(0.2) else dice.word(),
    "phrase": Dice.phrase,
    "email": Dice.email,
    "date": Dice.date,
    "time": Dice.time,
    "path": Dice.path,
    "code": Dice.code,
}
