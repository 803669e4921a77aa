"""From tools to the Lark text of an answer that may, or must, call them.

    start: <[begin of thought]> THOUGHT <[end of thought]> answer end
    answer: REST | lead call END …
    call: tool0 | tool1
    tool0: "{\\"name\\": \\"look_up\\", \\"arguments\\": " arguments0 "}"
    arguments0: %json {...}

A tag that is one token of the vocabulary is named by its id, and else by its text. What stands
between the tags, and how a call is written there, is as the family's row has it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.chat import Constraint, Tool, ToolChoice
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_lark import GAP, THOUGHT, Thought, constraint_rules, lark_of
from models.engine.grammar_parameters import lines
from models.engine.grammar_text import regex_of, spelled
from models.markup import PLACES, CallForm, Calls

JSON = CallForm.JSON
_SPACE = "SPACE: /[ \\n]{0,2}/"
_NL = "NL: /\\n?/"
_INDEX = "INDEX: /[0-9]{1,3}/"
_ID = "ID: /[A-Za-z0-9]{9}/"


def allowed(tools: Sequence[Tool], choice: ToolChoice) -> tuple[Tool, ...]:
    """Return the tools that may be called."""
    return tuple(each for each in tools if not choice.names or each.name in choice.names)


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
        self._trigger = None if row.bare else tokens.tags.get(row.begin)
        self._begin = "" if row.bare else spelled(row.begin, tokens)
        self._rules = [
            *(THOUGHT, GAP, _SPACE, _NL, _INDEX, _ID),
            *self._text_rules(),
            *_call_rules(offer, tokens),
        ]
        if offer.constraint:
            self._rules.append(constraint_rules(offer.constraint))

    def compiled(self) -> CompiledGrammar:
        mode, constraint = self._offer.choice.mode, self._offer.constraint
        if self._offer.calls.form is CallForm.HARMONY:
            return CompiledGrammar(lark=self._lark(self._harmony()))
        if self._offer.calls.form is CallForm.PART:
            return CompiledGrammar(lark=self._lark(self._parts()))
        more = self._rest_of_calls()
        calls = f"{self._begin} {more}"
        if mode == "none":
            return CompiledGrammar(
                lark=self._lark(self._behind_thought("REST", "")), answer=self._lark("REST")
            )
        if mode == "required":
            answer = f"GAP {calls}"
        elif constraint:
            answer = f"GAP (body | {calls})"
        else:
            answer = f"(REST | lead {more})"
        trigger, tail, tag = None, "", ""
        if mode == "auto" and not constraint and self._trigger is not None:
            trigger, tail, tag = self._trigger, self._lark(more), self._offer.calls.begin
        elif self._offer.thought == "begun" and self._tokens.think_end is not None:
            trigger, tail = self._tokens.think_end, self._lark(answer)
        return CompiledGrammar(
            lark=self._lark(self._behind_thought(answer, calls)),
            text=self._text(),
            trigger=trigger,
            tail=tail,
            tag=tag,
            answer=self._lark(answer),
        )

    def _harmony(self) -> str:
        """An answer of gpt-oss: thoughts, and then a call, or what is said."""
        ended = spelled("<|end|><|start|>assistant", self._tokens)
        thoughts = f"({spelled('<|channel|>analysis<|message|>', self._tokens)} THOUGHT {ended})*"
        final = spelled("<|channel|>final<|message|>", self._tokens)
        final += " body" if self._offer.constraint else " THOUGHT"
        call = f"{self._begin} call"
        match self._offer.choice.mode:
            case "none":
                return f"{thoughts} {final}"
            case "required":
                return f"{thoughts} {call}"
            case _:
                before = spelled("<|channel|>commentary<|message|>", self._tokens)
                return f"{thoughts} ({before} THOUGHT {ended})? ({call} | {final})"

    def _parts(self) -> str:
        """An answer of Functionary 3.2, behind the ``>>>`` of its prompt."""
        calls = self._rest_of_calls()
        said = f'"all\\n" {"body" if self._offer.constraint else "REST"}'
        match self._offer.choice.mode:
            case "none":
                return said
            case "required":
                return calls
            case _:
                return f'{calls} | {said} | "all\\n" lead {calls}'

    def _text(self) -> str:
        """The same for whoever has an answer's bytes; "": they do not tell."""
        if self._tokens.tags:
            if any("<[" in each for each in self._offer.arguments.values()):
                return ""
            return _Rules(self._offer, Tokens())._text()
        calls = f"{self._begin} {self._rest_of_calls()}"
        return lark_of(
            f"GAP body | GAP {calls}" if self._may_be_body() else f"GAP {calls}", *self._rules
        )

    def _may_be_body(self) -> bool:
        return self._offer.constraint is not None and self._offer.choice.mode != "required"

    def _rest_of_calls(self) -> str:
        """All that follows the first begin tag."""
        row, parallel = self._offer.calls, self._offer.choice.parallel
        between = None if row.between is None else spelled(row.between, self._tokens)
        several = f" ({between} call)*" if parallel and between is not None else ""
        end = spelled(row.close + row.end, self._tokens)
        section = f"{spelled(row.open, self._tokens)} call{several} {end}"
        if row.bare or between is not None or not parallel:
            return section
        return f"{section} (GAP {self._begin} {section})*"

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
        row = self._offer.calls
        if row.bare:  # a text that begins like a call is one
            begin = r"\s*" + r"\s*".join(
                map(regex_of, (row.open + row.call).split("{name}")[0].split())
            )
            return [f"REST: /(?s:.*)/ & ~/(?s:{begin}.*)/", "lead: SPACE"]
        tag = regex_of(row.begin)
        rest = f"REST: /(?s:.*)/ & ~/(?s:.*{tag}.*)/"
        if "<[" not in self._begin:  # all of it is text
            return [rest, f"lead[lazy]: /(?s:.*){tag}/"]
        return [rest, f"lead: REST {self._begin}"]


def _call_rules(offer: Offer, tokens: Tokens) -> list[str]:
    """The rule ``call``, which is any of the tools, as the row has it."""
    rules: list[str] = []
    row = offer.calls
    write = lines if row.form is CallForm.XML else spelled
    for place, (name, body) in enumerate(offer.arguments.items()):
        said = json.dumps(name, ensure_ascii=False)
        parts = {
            "name": json.dumps(said[1:-1], ensure_ascii=False) if row.form is JSON else said,
            "arguments": f"arguments{place}",
            "parameters": f"arguments{place}",
            "index": "INDEX",
            "id": "ID",
        }
        written = "".join(
            f" {parts[part]} " if at % 2 else write(part, tokens)
            for at, part in enumerate(PLACES.split(row.call))
        )
        rules += [f"tool{place}: {written}", f"arguments{place}: {body}"]
    names = " | ".join(f"tool{place}" for place in range(len(offer.arguments)))
    space = "SPACE" if row.form is JSON else ""
    return [f"call: {space} ({names}) {space}", *rules] if names else []
