"""Dialogues that end in JSON: objects after a described schema, and lists."""

# pyright: strict

from talk import Turn, capital, sums
from values import SIMPLE, Field, distinct, dumps, field, nested, object_schema, spaced
from words import Dice, joined


def json_object(dice: Dice) -> Turn:
    """Return a request for an object, its keys and values said in one of many ways."""
    fields = distinct(dice, dice.randint(1, 4), [*SIMPLE, "words", "numbers"])
    if dice.chance(0.25):
        extra = nested(dice)
        fields = [*(each for each in fields[:2] if each.name != extra.name), extra]
    ask = dice.pick([_with, _with, _keys, _shape, _schema])
    reply = dumps({each.name: each.value for each in fields})
    thought = f"The keys are {joined([each.name for each in fields])}."
    return Turn(ask(dice, fields), reply, thought)


def json_list(dice: Dice) -> Turn:
    each = field(dice, dice.pick(["words", "words", "numbers"]))
    ask = dice.pick(["Make a JSON list of: {}.", "Give me a JSON list of {}.",
                     "Write as a JSON array: {}", "JSON array of {}"])  # fmt: skip
    return Turn(ask.format(each.spoken), dumps(each.value), "A list in square brackets.")


def in_form(dice: Dice) -> tuple[Turn, str]:
    """Return a question answered by an object's last value, and what of the object is imposed."""
    turn = sums(dice) if dice.chance(0.7) else capital(dice)
    if turn.reply[0].isdigit():
        value = int(turn.reply.rstrip(".").split(" = ")[1])
        key = dice.pick(["result", "answer", "sum", "value", "number", "n", "total", dice.word()])
    else:
        value = turn.reply.rstrip(".").split(" is ")[1]
        key = dice.pick(["capital", "city", "answer", "name", "result", dice.word()])
    before = [field(dice, dice.pick(["word", "enum", "integer", "boolean", "person"]))
              for _ in range(dice.pick([0, 0, 1, 1, 2]))]  # fmt: skip
    reply = dumps({each.name: each.value for each in before if each.name != key} | {key: value})
    imposed = reply[: reply.rindex(":") + 1]
    return Turn(turn.asked, reply, turn.thought), imposed


def _with(dice: Dice, fields: list[Field]) -> str:
    start = dice.pick(["Give me a JSON object with {}.", "Answer in JSON: {}.", "JSON with {}",
                       "Make a JSON object with {}.", "Return JSON where {}."])  # fmt: skip
    return start.format(_pairs(dice, fields))


def _keys(dice: Dice, fields: list[Field]) -> str:
    keys = joined([each.name for each in fields])
    said = _facts(dice, dice.shuffled(fields))
    return dice.pick([
        f"{said} Answer with a JSON object with the keys {keys}.",
        f"Return a JSON object with the keys {keys}. {said}",
        f"Extract {keys} as JSON. {said}",
    ])  # fmt: skip


def _shape(dice: Dice, fields: list[Field]) -> str:
    shape = dumps({each.name: _type(each) for each in fields})
    return dice.pick([
        f"Fill in this JSON object: {shape}. {_facts(dice, fields)}",
        f"{_facts(dice, fields)} Answer as JSON like {shape}",
    ])  # fmt: skip


def _schema(dice: Dice, fields: list[Field]) -> str:
    schema = dumps(object_schema(fields))
    return f"{_facts(dice, fields)} Answer in JSON after this schema: {schema}"


def _type(each: Field) -> object:
    if each.schema["type"] == "object":
        return {name: schema["type"] for name, schema in each.schema["properties"].items()}
    return each.schema["type"]


def _pairs(dice: Dice, fields: list[Field]) -> str:
    link = dice.pick(["{0} {1}", "{0} {1}", "{0}: {1}", "{0} = {1}", "{0} set to {1}"])
    return joined([link.format(_said(dice, each), each.spoken) for each in fields])


def _facts(dice: Dice, fields: list[Field]) -> str:
    parts = [f"the {_said(dice, each)} is {each.spoken}" for each in fields]
    text = dice.pick([" and ", ", "]).join(parts)
    return text[0].upper() + text[1:] + "."


def _said(dice: Dice, each: Field) -> str:
    return each.name if dice.chance(0.4) else spaced(each.name)
