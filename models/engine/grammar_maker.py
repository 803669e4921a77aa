"""Makes the grammar of one request, for one model: built, and checked before the lane sees it."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property

from models.chat import GenerateRequest, JsonSchema
from models.engine import grammar_schema
from models.engine.grammar import CompiledGrammar, Tokens
from models.engine.grammar_lark import Thought, compile_constraint
from models.engine.grammar_process import GrammarChecker
from models.engine.tokenizer import Tokenizer
from models.errors import InvalidRequest

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
_THOUGHTS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"))
# Behind the token that begins a thought templates put a line end at the most.
_LAST_TOKENS = 3


class GrammarMaker:
    """Any thread may call it that may wait.

    ``tokens`` finds the model's special tokens, and ``get_ready`` readies its engine for
    grammars; both are called first when one is asked for.
    """

    def __init__(
        self,
        checker: GrammarChecker,
        tokens: Callable[[], Tokens],
        get_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._checker = checker
        self._find_tokens = tokens
        self._get_ready = get_ready

    def make(self, request: GenerateRequest, prompt: Sequence[int]) -> CompiledGrammar | None:
        """Return the grammar that a request wants behind its prompt; None: it wants none.

        Raises:
            InvalidRequest: it cannot be obeyed.
            ModelCrashed: what readies the engine is gone.
        """
        if request.constraint is None:
            return None
        if request.sampling.ignore_eos:
            raise InvalidRequest("An answer of a given form must be able to end: no 'ignore_eos'.")
        thought = self._thought(request, prompt)
        made = compile_constraint(request.constraint, self._tokens, thought)
        if wrong := self._checker.check(made):
            raise self._refusal(request, wrong)
        self._get_ready()
        return made

    @cached_property
    def _tokens(self) -> Tokens:
        return self._find_tokens()

    def _thought(self, request: GenerateRequest, prompt: Sequence[int]) -> Thought:
        last = list(prompt[-_LAST_TOKENS:])
        if self._tokens.think_start in last and self._tokens.think_end not in last:
            return "begun"
        return "none" if request.thinking in (None, False) else "possible"

    def _refusal(self, request: GenerateRequest, wrong: str) -> InvalidRequest:
        if not isinstance(request.constraint, JsonSchema):
            return InvalidRequest(f"The grammar cannot be obeyed: {_sentence(wrong)}")
        # llguidance does not tell the place: it is that of the innermost schema that is wrong.
        schema = grammar_schema.prepared(request.constraint.schema)
        named = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        places = [(at, inner) for at, inner in grammar_schema.places(schema) if at]
        found = self._checker.first_wrong(
            [f"%llguidance {{}}\nstart: %json {json.dumps(named | inner)}" for _, inner in places]
        )
        if found is None:
            return grammar_schema.cannot("", _sentence(wrong).rstrip("."))
        place, why = found
        return grammar_schema.cannot(places[place][0], _sentence(why).rstrip("."))


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
    for begins, ends_with in _THOUGHTS:
        think_start, think_end = one(begins), one(ends_with)
        if think_start is not None and think_end is not None:
            return Tokens(tuple(end), think_start, think_end, ends_with)
    return Tokens(tuple(end))


def _sentence(wrong: str) -> str:
    """llguidance's words without the grammar that it quotes, as the end of a sentence."""
    said = wrong.partition("\n   1 |")[0]
    for prefix in ("failed to compile JSON schema: ", "WARNING: "):
        said = said.rpartition(prefix)[2]
    if "is not present in a registry" in said:
        return "'$ref' to another document, which is not fetched."
    words = " ".join(said.split())
    return f"{words[:300].rstrip('. ')}."
