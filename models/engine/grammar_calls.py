"""From tools to the Lark text of an answer that may, or must, call them.

    start: <[begin of thought]> THOUGHT <[end of thought]> answer end
    answer: REST | lead call END …
    call: tool0 | tool1
    tool0: "{\\"name\\": \\"look_up\\", \\"arguments\\": " arguments0 "}"
    arguments0: %json {...}

A tag that is one token of the vocabulary is named by its id, and else by its text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.chat import Constraint, Tool, ToolChoice
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_lark import GAP, THOUGHT, Thought, constraint_rules, lark_of
from models.engine.grammar_numbers import Schema
from models.engine.grammar_rules import schema_rules
from models.engine.grammar_schema import as_json, prepared
from models.model_family import CallForm, Calls

ANY_ARGUMENTS = as_json({"type": "object"})
# Beside these, a schema that is closed may mean something else.
_JOINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})
_SPACE = "SPACE: /[ \\n]{0,2}/"


def allowed(tools: Sequence[Tool], choice: ToolChoice) -> tuple[Tool, ...]:
    """Return the tools that may be called."""
    return tuple(each for each in tools if not choice.names or each.name in choice.names)


def arguments_of(tool: Tool) -> str:
    """Return what the arguments of a tool must be, as the body of a rule.

    Raises:
        InvalidRequest: it is known that its schema cannot be obeyed.
    """
    schema: Schema = {"type": "object", **(tool.parameters or {})}
    if not _JOINED & schema.keys():  # a function takes the parameters that it names
        schema.setdefault("additionalProperties", False)
    rules = schema_rules(prepared(schema)).removeprefix("body: ")
    return f"%lark {{\nstart: body\nbody: {rules}\n}}" if "\n" in rules else rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an answer may call, and what else it may be."""

    calls: Calls
    arguments: Mapping[str, str]  # of each tool by its name: ``arguments_of``, or any
    choice: ToolChoice
    thought: Thought
    constraint: Constraint | None = None  # on what is said instead of a call


def compile_calls(offer: Offer, tokens: Tokens) -> CompiledGrammar:
    """Return the grammar of a whole answer. What it means is not checked here.

    Its ``text`` says nothing of thoughts.

    Raises:
        InvalidRequest: the constraint cannot be obeyed.
    """
    return _Rules(offer, tokens).compiled()


class _Rules:
    def __init__(self, offer: Offer, tokens: Tokens) -> None:
        self._offer = offer
        self._tokens = tokens
        row = offer.calls
        self._trigger = tokens.tags.get(row.begin)
        self._begin, self._end = _tag(row.begin, tokens), _tag(row.end, tokens)
        self._rules = [THOUGHT, GAP, _SPACE, *self._text_rules(), *self._call_rules()]
        if offer.constraint:
            self._rules.append(constraint_rules(offer.constraint))

    def compiled(self) -> CompiledGrammar:
        mode, constraint = self._offer.choice.mode, self._offer.constraint
        more = self._rest_of_calls(self._begin, self._end)
        calls = f"{self._begin} {more}"
        spelled = json.dumps(self._offer.calls.begin), json.dumps(self._offer.calls.end)
        text = f"GAP {spelled[0]} {self._rest_of_calls(*spelled)}"
        if mode == "none":
            return CompiledGrammar(lark=self._lark(self._behind_thought("REST", "")))
        if mode == "required":
            answer = f"GAP {calls}"
        elif constraint:
            answer = f"GAP (body | {calls})"
            text = f"GAP body | {text}"
        else:
            answer = f"(REST | lead {more})"
        trigger, tail = None, ""
        if mode == "auto" and not constraint and self._trigger is not None:
            trigger, tail = self._trigger, self._lark(more)
        elif self._offer.thought == "begun" and self._tokens.think_end is not None:
            trigger, tail = self._tokens.think_end, self._lark(answer)
        return CompiledGrammar(
            lark=self._lark(self._behind_thought(answer, calls)),
            text=lark_of(text, *self._rules),
            trigger=trigger,
            tail=tail,
        )

    def _rest_of_calls(self, begin: str, end: str) -> str:
        """All that follows the first begin tag."""
        more = f" (GAP {begin} call {end})*" if self._offer.choice.parallel else ""
        return f"call {end}{more}"

    def _lark(self, start: str) -> str:
        return lark_of(start, *self._rules, ends=self._tokens.end)

    def _behind_thought(self, answer: str, calls: str) -> str:
        """What is said behind a thought; a call may also end it, as models do that forget to."""
        tokens, thought = self._tokens, self._offer.thought
        if thought == "none" or tokens.think_end is None:
            return answer
        ended = f"<[{tokens.think_end}]> {answer}"
        thinks = f"THOUGHT ({ended} | {calls})" if calls else f"THOUGHT {ended}"
        if thought == "begun":
            return thinks
        return f"(<[{tokens.think_start}]> {thinks} | {answer})"

    def _text_rules(self) -> list[str]:
        """What is said without a call, and what is said before one, with its tag."""
        tag = _regex(self._offer.calls.begin)
        rest = f"REST: /(?s:.*)/ & ~/(?s:.*{tag}.*)/"
        if self._trigger is None:
            return [rest, f"lead[lazy]: /(?s:.*){tag}/"]
        return [rest, f"lead: REST {self._begin}"]

    def _call_rules(self) -> list[str]:
        match self._offer.calls.form:
            case CallForm.JSON:
                return _json_calls(self._offer.arguments)


def _json_calls(arguments: Mapping[str, str]) -> list[str]:
    rules: list[str] = []
    for place, (name, body) in enumerate(arguments.items()):
        head = json.dumps(f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": ')
        rules += [f'tool{place}: {head} arguments{place} "}}"', f"arguments{place}: {body}"]
    names = " | ".join(f"tool{place}" for place in range(len(arguments)))
    return [f"call: SPACE ({names}) SPACE", *rules] if names else []


def _tag(text: str, tokens: Tokens) -> str:
    token = tokens.tags.get(text)
    return json.dumps(text) if token is None else f"<[{token}]>"


def _regex(text: str) -> str:
    return re.escape(text).replace("/", "\\/")
