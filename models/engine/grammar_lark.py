"""From what an answer must look like to one Lark text, the same for both engines.

    %llguidance {...}
    start: THOUGHT <[end of thought]> GAP body end
    body: %json {...}   or   %lark {...}   or   /a regular expression/
    end: <[2]> | <[0]>

Every token that ends a turn is named by its id: llama.cpp's llguidance knows only one, and not
always the model's own (xllamacpp 2026.10.11549).
"""

import re
from typing import Literal, TypeAlias

from models.chat import Constraint, Grammar, JsonObject, JsonSchema
from models.engine.counted import readable
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_gbnf_lark import gbnf_to_lark
from models.engine.grammar_limits import MOST_NAMED, Limit
from models.engine.grammar_rules import schema_rules
from models.engine.grammar_schema import as_json, prepared
from models.engine.grammar_strings import between_slashes

Thought: TypeAlias = Literal["none", "possible", "begun"]
"""Whether the model may think before it answers; "begun": the prompt ends in a thought."""

# Or it wants a tokenizer of us, for the one way to write what can only go on like this.
_HEAD = '%llguidance {"no_forcing": true}'
THOUGHT = "THOUGHT: /(?s:.*)/"  # of no special token: those are no text
GAP = "GAP: /\\n{0,2}/"  # what models put behind a thought, and between calls
# A special token in somebody's Lark; texts, patterns and comments may look like one.
_PARTS = re.compile(
    r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\\n])+/|//[^\n]*|<(?P<token>[A-Za-z|\[][^<>\s]*)>'
)
_IDS = re.compile(r"\[(\d{1,9}(?:,\d{1,9})*)\]")
_BYTES = 256


def compile_constraint(
    constraint: Constraint, tokens: Tokens, thought: Thought = "none"
) -> CompiledGrammar:
    """Return the grammar of a whole output. What it means is not checked here.

    Raises:
        InvalidRequest: it is too large, or it is known that it cannot be obeyed.
    """
    body = constraint_rules(constraint)
    said, named = _named(body) if isinstance(constraint, Grammar) else (body, ())
    if thought == "none" or tokens.think_end is None:
        return CompiledGrammar(
            lark=lark_of("body", body, ends=tokens.end),
            text=lark_of("body", said) if said else "",
            named=named,
        )
    thinks = f"THOUGHT <[{tokens.think_end}]> GAP"
    if thought == "possible":
        thinks = f"(<[{tokens.think_start}]> {thinks})?"
    answer = lark_of("GAP body", GAP, body, ends=tokens.end)
    return CompiledGrammar(
        lark=lark_of(f"{thinks} body", THOUGHT, GAP, body, ends=tokens.end),
        text=lark_of("GAP body", GAP, said) if said else "",
        named=named,
        trigger=tokens.think_end if thought == "begun" else None,
        tail=answer if thought == "begun" else "",
        answer=answer,
        behind=tokens.think_end_text,
    )


def lark_of(start: str, *rules: str, ends: tuple[int, ...] = ()) -> str:
    """Return a whole grammar; ``ends`` are the tokens of which one ends it."""
    lines = [_HEAD, f"start: {start}", *rules]
    if ends:
        lines[1] += " end"
        lines.append("end: " + " | ".join(f"<[{each}]>" for each in ends))
    return "\n".join(lines)


def constraint_rules(constraint: Constraint) -> str:
    """Return the rule ``body`` of what is asked for.

    Raises:
        InvalidRequest: as ``compile_constraint``.
    """
    match constraint:
        case JsonObject():
            return f"body: {as_json({'type': 'object'})}"
        case JsonSchema(schema):
            return schema_rules(prepared(schema))
        case Grammar(text, notation):
            text = readable(text)
            Limit.GRAMMAR_BYTES.check(len(text.encode()), "The grammar")
            if notation == "regex":
                return f"body: BODY\nBODY: /{between_slashes(text)}/"  # of all of it: no anchors
            lark = gbnf_to_lark(text) if notation == "gbnf" else text
            return f"body: %lark {{\n{lark}\n}}"


def _named(body: str) -> tuple[str, tuple[int, ...]]:
    """Return a body whose special tokens have numbers behind those of the bytes, and their ids.

    "": they are not named by their ids, or are too many.
    """
    named: list[int] = []
    known = True

    def number(token: int) -> str:
        if token not in named:
            named.append(token)
        return f"<[{_BYTES + named.index(token)}]>"

    def written(found: re.Match[str]) -> str:
        nonlocal known
        if found["token"] is None:
            return found[0]
        ids = _IDS.fullmatch(found["token"])
        known = known and ids is not None
        return f"({' | '.join(number(int(each)) for each in ids[1].split(','))})" if ids else ""

    said = _PARTS.sub(written, body)
    return (said, tuple(named)) if known and len(named) <= MOST_NAMED else ("", ())
