"""Makes the grammar of one request, for one model: built, and checked before the lane sees it."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from models.chat import Constraint, GenerateRequest, Grammar, JsonSchema, Tool, ToolChoice
from models.engine import grammar_schema
from models.engine.grammar import CompiledGrammar, Said, Tokens
from models.engine.grammar_calls import Offer, allowed, compile_calls
from models.engine.grammar_lark import Thought, compile_constraint, lark_of
from models.engine.grammar_parameters import any_arguments_of, arguments_of
from models.engine.grammar_process import GrammarChecker
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest
from models.markup import Calls
from models.model_family import CALLS, THOUGHTS, UNMARKED, ModelFamily
from models.worker import PYTHON, Command

log = logging.getLogger(__name__)

# Tokens behind which llama.cpp ends an answer, where a vocabulary has them (b11549,
# src/llama-vocab.cpp: special_eog_ids).
_ENDS = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<turn|>",
)
_HARMONY = {"<|return|>", "<|call|>"}  # where these are, <|end|> ends a part of an answer
# Behind the token that begins a thought templates put a line end at the most.
_LAST_TOKENS = 3


class GrammarMaker:
    """Any thread may call it that may wait.

    ``tokens`` finds the model's special tokens, and ``get_ready`` readies its engine for
    grammars; both are called first when one is asked for.
    """

    def __init__(
        self,
        tokens: Callable[[], Tokens],
        get_ready: Callable[[], None] = lambda: None,
        *,
        command: Command = PYTHON,
    ) -> None:
        self._checker = GrammarChecker(command)
        self._find_tokens = tokens
        self._get_ready = get_ready

    def make(
        self, request: GenerateRequest, prompt: Sequence[int], family: ModelFamily = UNMARKED
    ) -> CompiledGrammar | None:
        """Return the grammar that a request wants behind its prompt; None: it wants none.

        Raises:
            InvalidRequest: it cannot be obeyed.
            ModelCrashed: what readies the engine is gone.
        """
        calls = family.calls if request.tools else None
        must = request.constraint is not None or request.tool_choice.mode == "required"
        if request.sampling.ignore_eos:
            if must:
                raise InvalidRequest(
                    "An answer of a given form must be able to end: no 'ignore_eos'."
                )
            return None
        if calls and (request.constraint is None or request.tool_choice.mode != "none"):
            made = self._with_calls(request, prompt, calls)
        elif request.constraint is not None:
            made = self._of_constraint(request, request.constraint, prompt, family)
            if wrong := self._checker.check(made):
                raise self._refusal(request, wrong)
        else:
            return None
        self._get_ready()
        return made

    def _of_constraint(
        self,
        request: GenerateRequest,
        constraint: Constraint,
        prompt: Sequence[int],
        family: ModelFamily,
    ) -> CompiledGrammar:
        thought = self._thought(request, prompt)
        if family.calls and family.calls.routed:  # and the form is of one of its parts
            none = ToolChoice("none")
            offer = Offer(
                calls=family.calls,
                arguments={},
                choice=none,
                thought=thought,
                constraint=constraint,
            )
            return compile_calls(offer, self._tokens)
        return compile_constraint(constraint, self._tokens, thought)

    def _with_calls(
        self, request: GenerateRequest, prompt: Sequence[int], calls: Calls
    ) -> CompiledGrammar:
        choice = request.tool_choice
        tools = () if choice.mode == "none" else allowed(request.tools, choice)
        if not tools:
            if choice.mode == "required":
                raise InvalidRequest("A tool is to be called that is none of the tools.")
            choice = ToolChoice("none")
        thought = self._thought(request, prompt)
        if thought == "none" and choice.mode != "required" and not request.constraint:
            thought = "possible"  # where all text is free, a thought is too
        offered = {each.name: each for each in tools}
        arguments = {each.name: self._arguments(each, calls, choice) for each in offered.values()}
        free = any_arguments_of(calls, self._tokens)

        def compiled() -> CompiledGrammar:
            offer = Offer(
                calls=calls,
                arguments=arguments,
                choice=choice,
                thought=thought,
                constraint=request.constraint,
            )
            return compile_calls(offer, self._tokens)

        made = compiled()
        wrong = self._wrong(made, len(offered))
        if wrong:
            parts = {name: lark_of(f"body\nbody: {rules}") for name, rules in arguments.items()}
            known = self._checker.check_parts([*parts.values()])
            for name, part in parts.items():
                if why := known[part]:
                    _refuse_free(offered[name], choice, f"{_why(why)}.")
                    arguments[name] = free
            made = compiled()
            wrong = self._wrong(made, len(offered))
        if wrong and choice.mode == "auto":  # each is fine, and all are too many
            for tool in offered.values():
                if tool.strict:
                    _refuse_free(tool, choice, "There are too many tools.")
            log.warning("There are too many tools to keep to their parameters: %s", _why(wrong))
            arguments.update(dict.fromkeys(arguments, free))
            made = compiled()
            wrong = self._wrong(made, len(offered))
        if wrong:
            raise self._refusal(request, wrong)
        return _checkable(made, choice, thought)

    def _wrong(self, made: CompiledGrammar, parts: int) -> str:
        try:
            return self._checker.check(made, parts)
        except InvalidRequest as error:  # it takes too long
            return str(error)

    def _arguments(self, tool: Tool, calls: Calls, choice: ToolChoice) -> str:
        try:
            return arguments_of(tool, calls, self._tokens)
        except InvalidRequest as error:
            _refuse_free(tool, choice, str(error))
            return any_arguments_of(calls, self._tokens)

    def matches(self, grammar: CompiledGrammar, said: Said) -> bool:
        """Whether a finished answer is what its grammar allows; True where that cannot be told.

        Raises:
            InferenceError: it could not be found out.
        """
        return self._checker.matches(grammar, said)

    def close(self) -> None:
        """End what was started for it; what is being checked fails."""
        self._checker.close()

    @cached_property
    def _tokens(self) -> Tokens:
        return self._find_tokens()

    def _thought(self, request: GenerateRequest, prompt: Sequence[int]) -> Thought:
        last = list(prompt[-_LAST_TOKENS:])
        if self._tokens.think_start in last and self._tokens.think_end not in last:
            return "begun"
        return "none" if request.thinking in (None, False) else "possible"

    def _refusal(self, request: GenerateRequest, wrong: str) -> InvalidRequest:
        match request.constraint:
            case JsonSchema(asked):
                schema = grammar_schema.prepared(asked)
            case Grammar(_, "lark"):
                return InvalidRequest(
                    f"The grammar cannot be obeyed: {_place(wrong)}{_why(wrong)}."
                )
            case _:
                return InvalidRequest(f"The grammar cannot be obeyed: {_why(wrong)}.")
        # llguidance does not tell the place: it is that of the innermost schema that is wrong.
        named = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        places = [(at, inner) for at, inner in grammar_schema.places(schema) if at]
        found = self._checker.first_wrong(
            [f"%llguidance {{}}\nstart: %json {json.dumps(named | inner)}" for _, inner in places]
        )
        if found is None:
            return grammar_schema.cannot("", _why(wrong))
        place, why = found
        return grammar_schema.cannot(places[place][0], _why(why))


def _checkable(made: CompiledGrammar, choice: ToolChoice, thought: Thought) -> CompiledGrammar:
    """Leave out what cannot be held against the bytes of an answer that may have thoughts in it,
    or need not be a call."""
    return made if thought == "none" and choice.mode == "required" else replace(made, text="")


def _refuse_free(tool: Tool, choice: ToolChoice, why: str) -> None:
    """Log that arguments are not kept to the schema of their tool, which cannot be obeyed.

    Raises:
        InvalidRequest: they must be.
    """
    if tool.strict or choice.mode == "required":
        raise InvalidRequest(f"The parameters of the tool '{tool.name}': {why}")
    log.warning("The parameters of the tool '%s' are not kept to: %s", tool.name, why)


def find_tokens(tokenizer: Tokenizer, *, eos_token: str = "", end: Sequence[int] = ()) -> Tokens:
    """Look a model's special tokens up.

    Args:
        end: those that end a turn, where they are known; else they are looked up.

    Raises:
        ModelCrashed: the tokenizer has gone with its process.
    """

    def one(text: str) -> int | None:
        found = tokenizer.encode(text) if text else []
        return found[0] if len(found) == 1 else None

    if not end:
        ends = {text: token for text in (eos_token, *_ENDS) if (token := one(text)) is not None}
        if ends.keys() >= _HARMONY:
            ends.pop("<|end|>", None)
        end = sorted(set(ends.values()))
    markup = sorted({tag for row in CALLS for tag in row.tags})
    ids = tokenizer.encode_each(markup)
    tags = {tag: each[0] for tag, each in zip(markup, ids, strict=True) if len(each) == 1}
    for row in THOUGHTS:
        think_start, think_end = one(row.token or row.begin), one(row.end)
        if think_start is not None and think_end is not None:
            return Tokens(tuple(end), think_start, think_end, row.end, tags)
    return Tokens(tuple(end), tags=tags)


# What llguidance says, and what is said here.
_WORDS = (
    ("is not present in a registry", "'$ref' to another document, which is not fetched"),
    ("oneOf constraints", "'oneOf' is supported only where no value can fit two branches"),
    (
        "min/maxProperties only",
        "'minProperties' and 'maxProperties' are supported only where all properties are required",
    ),
)
_QUOTED = re.compile(r"\n\s*\d+ \|.*", re.DOTALL)  # the grammar around the place
_PLACES = re.compile(r"^(?:(?:at )?(\d+)\(\d+\): )+")  # in the text that we made
_LINES_BEFORE = 3  # of ours, before somebody's Lark


def _why(wrong: str) -> str:
    """llguidance's words, without the grammar that it quotes, for the end of a sentence."""
    said = _PLACES.sub("", _QUOTED.sub("", wrong))
    said = " ".join(said.removeprefix("failed to compile JSON schema: ").split())
    for theirs, ours in _WORDS:
        if theirs in said:
            return ours
    return said[:300].rstrip(". ")


def _place(wrong: str) -> str:
    found = _PLACES.match(wrong)
    line = int(found[1]) - _LINES_BEFORE if found else 0
    return f"line {line}: " if line > 0 else ""
