"""From a request to the token ids that go into the model, cut to fit the context.

Nothing is rendered or tokenised that cannot fit: see docs/decisions/admission.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from models.chat import GenerateRequest, Message, Overflow, SamplingParams
from models.engine.checkpoints import ends, places, without_oldest
from models.engine.counted import (
    LONG_CHARACTERS,
    TooLong,
    all_tokens,
    readable,
    refuse_by_size,
    tokens_within,
)
from models.engine.dialect import no_such_variable
from models.engine.grammar_maker import GrammarMaker
from models.engine.history import History, room_for_cut, size_of, texts_of, without_middle
from models.engine.infill import infill_tokens
from models.engine.prepared import Prompt, rounded_up
from models.engine.template import ChatTemplate, in_place_of
from models.engine.tokenizer import Tokenizer
from models.errors import ContextOverflow, InvalidRequest
from models.fill_in import FillIn
from models.markup import Thoughts
from models.model_family import UNMARKED

_SMALLEST_CONTEXT = 4  # Ollama's own minimum for num_ctx
_USUAL_ANSWER = 1024  # tokens that are left for one, where a chat is cut to fit
_LIKELY_CHARACTERS = 8  # a token: a text that is no longer is tokenised as a whole


class _Fitted(NamedTuple):
    tokens: list[int]
    dropped_messages: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Prompter:
    """Makes prompts for one model.

    Any thread may call it that may wait: a long prompt takes seconds, of which it keeps
    other threads from running for some milliseconds at a time.
    """

    template: ChatTemplate | None  # None: a base model, which goes on from what it is given
    tokenizer: Tokenizer
    context_length: int  # tokens that a sequence may hold, prompt and completion together
    marks: bool = False  # whether ``Prompt.checkpoints`` are wanted
    fill_in: FillIn | None = None
    grammars: GrammarMaker | None = None  # None: it only counts
    # Does what a draw needs and takes long, so that it is not done between two steps of others.
    get_ready: Callable[[SamplingParams], None] | None = None
    _openings: list[list[int]] = field(default_factory=list[list[int]])  # of a thought, once asked

    def prepare(self, request: GenerateRequest) -> Prompt:
        """Apply the chat template, tokenise, and make it fit.

        Raises:
            ContextOverflow: the prompt is too long, and the request does not want it cut.
            InvalidRequest: there is nothing to read, the template refuses the messages, there
                is a suffix and the model has no tokens for it, or no answer can be as it is
                asked for.
            ModelCrashed: the tokenizer went with its process.
        """
        context = max(_SMALLEST_CONTEXT, request.context_length or self.context_length)
        room = min(context, self.context_length) - 1  # at least one token must follow
        try:
            fitted = self._within(request, room)
        except TooLong as error:
            raise ContextOverflow(
                prompt_tokens=error.tokens, context_length=room + 1, at_least=not error.exact
            ) from None
        tokens = fitted.tokens
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        if self.get_ready:
            self.get_ready(request.sampling)
        whole = min(rounded_up(context), self.context_length) - len(tokens)
        family = UNMARKED
        template = self._template(request)
        if template and not isinstance(request.prompt, str):
            family = template.family
        checkpoints = ()
        if self.marks and not fitted.cut:
            checkpoints = self._checkpoints(request, fitted.dropped_messages, tokens)
        return Prompt(
            tuple(tokens),
            min(whole, request.max_tokens or whole),
            fitted.dropped_messages,
            checkpoints,
            self.grammars.make(request, tokens, family) if self.grammars else None,
            fitted.cut,
            family,
            family.thoughts is not None and self._ends_in(family.thoughts, tokens),
        )

    def count(self, request: GenerateRequest) -> int:
        """Return how many tokens the prompt has, uncut.

        Raises:
            InvalidRequest, ModelCrashed: as ``prepare``.
        """
        match self._read(request):
            case str(text):
                tokens = all_tokens(self.tokenizer, text)
                return len(request.preceding_tokens) + len(self._begun(request, tokens))
            case messages:
                tokens = all_tokens(self.tokenizer, self._render(request, messages))
                return len(request.preceding_tokens) + len(self._behind(request, tokens))

    def text(self, request: GenerateRequest, *, ask: bool = True) -> str:
        """Return the prompt's text; without ``ask`` that of the messages alone.

        Raises:
            InvalidRequest: as ``prepare``.
        """
        prompt = self._read(request)
        return prompt if isinstance(prompt, str) else self._render(request, prompt, ask=ask)

    def _within(self, request: GenerateRequest, room: int) -> _Fitted:
        """Raises TooLong."""
        if request.suffix or request.snippets:
            before = list(request.preceding_tokens)
            return _Fitted(before + self._around(request, room - len(before)))
        prompt = self._read(request)
        if isinstance(prompt, str):
            fitted = self._plain(request, prompt, room)
        elif request.overflow is Overflow.REFUSE:
            fitted = _Fitted(self._whole(request, prompt, room))
        else:
            fitted = self._newest(request, prompt, room)
        tokens = fitted.tokens if isinstance(prompt, str) else self._behind(request, fitted.tokens)
        tokens = [*request.preceding_tokens, *tokens]
        if len(tokens) <= room:
            return fitted._replace(tokens=tokens)
        if request.overflow is not Overflow.TRUNCATE:
            raise TooLong(len(tokens), exact=True)
        return _Fitted(without_middle(tokens, room), fitted.dropped_messages, cut=True)

    def _read(self, request: GenerateRequest) -> str | tuple[Message, ...]:
        """Return the messages, or the text that is to be read as it stands."""
        if isinstance(request.prompt, str):
            return request.prompt
        if self._template(request) is None and request.overflow is not Overflow.DROP:
            return _joined(request.prompt)
        return request.prompt

    def _around(self, request: GenerateRequest, room: int) -> list[int]:
        if self.fill_in is None:
            raise InvalidRequest("This model cannot fill in the middle: leave out the suffix.")
        room -= len(self._begun(request, []))
        return self._begun(request, infill_tokens(request, self.fill_in, self.tokenizer, room))

    # -- A chat ----------------------------------------------------------------

    def _whole(
        self, request: GenerateRequest, messages: tuple[Message, ...], room: int
    ) -> list[int]:
        size = sum(map(size_of, messages))
        refuse_by_size(self.tokenizer, size, room)
        if size > room * LONG_CHARACTERS:
            # It would be long work for the template too.
            said = (text for message in messages for text in texts_of(message))
            tokens_within(self.tokenizer, "\n".join(said), room)
        tokens = tokens_within(self.tokenizer, self._render(request, messages), room)
        template = self._template(request)
        if template and (template is self.template or template.writes_bos):
            return tokens
        return self._begun(request, tokens)

    def _newest(
        self, request: GenerateRequest, messages: tuple[Message, ...], room: int
    ) -> _Fitted:
        """Return the newest exchanges; cut, where that is wanted and the last is too long."""

        def measure(some: tuple[Message, ...], most: int) -> list[int]:
            return self._whole(request, some, most)

        if request.overflow is Overflow.DROP:
            # What is full to the brim fits, and can be answered with one token.
            answer = min(request.max_tokens or _USUAL_ANSWER, room // 4)
            kept, tokens = History(messages, measure, room - answer).newest_in_steps()
            tokens = measure(kept, room) if tokens is None else tokens
            return _Fitted(tokens, len(messages) - len(kept))
        history = History(messages, measure, room)
        kept, tokens = history.newest()
        dropped = len(messages) - len(kept)
        if tokens is not None:
            return _Fitted(tokens, dropped)
        return _Fitted(history.with_texts_cut(kept), dropped, cut=True)

    def _render(
        self, request: GenerateRequest, messages: tuple[Message, ...], *, ask: bool = True
    ) -> str:
        template = self._template(request)
        more = request.template_variables
        if template is None:
            if more:
                raise no_such_variable(next(iter(more)))
            return _joined(messages)
        tools = () if request.tool_choice.mode == "none" else request.tools
        return template.render(messages, tools, request.thinking, ask=ask, more=more)

    def _template(self, request: GenerateRequest) -> ChatTemplate | None:
        if request.template is None:
            return self.template
        return in_place_of(self.template, request.template)

    def _checkpoints(
        self, request: GenerateRequest, dropped: int, tokens: list[int]
    ) -> tuple[int, ...]:
        prompt = self._read(request)
        if isinstance(prompt, str) or request.preceding_tokens:
            return ()
        messages = without_oldest(prompt, dropped)
        text = readable(self._render(request, messages))
        found = ends(messages, text, lambda some: readable(self._render(request, some, ask=False)))
        return places(self.tokenizer, text, tokens, found)

    def _behind(self, request: GenerateRequest, tokens: list[int]) -> list[int]:
        """Leave out the BOS that a template writes: behind a context it is in the middle."""
        bos = self.tokenizer.bos if request.preceding_tokens else None
        if bos is None or bos not in tokens:
            return tokens
        place = tokens.index(bos)
        return tokens[:place] + tokens[place + 1 :]

    def _ends_in(self, thoughts: Thoughts, tokens: list[int]) -> bool:
        """Whether the template has opened a thought, which it does with a line end at most."""
        if not self._openings:
            texts = [thoughts.begin + space for space in ("", "\n", "\n\n")]
            self._openings.extend(self.tokenizer.encode_each(texts))
        return any(tokens[-len(each) :] == each for each in self._openings)

    # -- A plain prompt --------------------------------------------------------

    def _plain(self, request: GenerateRequest, text: str, room: int) -> _Fitted:
        tokenizer = self.tokenizer
        if request.overflow is not Overflow.TRUNCATE:
            return _Fitted(self._begun(request, tokens_within(tokenizer, text, room)))
        if len(text) <= room * _LIKELY_CHARACTERS:
            tokens = self._begun(request, all_tokens(tokenizer, text))
            return _Fitted(without_middle(tokens, room), cut=len(tokens) > room)
        try:
            return _Fitted(self._begun(request, tokens_within(tokenizer, text, room)))
        except TooLong:
            return _Fitted(self._ends(request, text, room), cut=True)

    def _ends(self, request: GenerateRequest, text: str, room: int) -> list[int]:
        """Return what ``without_middle`` keeps of the tokens, reading little more than that."""
        tokenizer = self.tokenizer
        head, tail = room_for_cut(room)
        longest = min(tokenizer.longest_token_bytes, 256)
        begin = self._begun(request, all_tokens(tokenizer, text[: (head + 2) * longest]))
        width = tail * 4
        while True:
            end = all_tokens(tokenizer, text[-width:]) if tail else []
            # The first of them may be half of a longer one.
            if len(end) > tail or width >= len(text):
                return begin[:head] + end[len(end) - tail :]
            width *= 2

    def _begun(self, request: GenerateRequest, tokens: list[int]) -> list[int]:
        """Put the model's BOS in front where it wants one, once, and never in the middle."""
        bos = self.tokenizer.bos
        if bos is None or request.preceding_tokens or tokens[:1] == [bos]:
            return tokens
        return [bos, *tokens]


def _joined(messages: tuple[Message, ...]) -> str:
    """What a model without a template reads of a chat."""
    return "\n\n".join(each.text for each in messages)
