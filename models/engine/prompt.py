"""From a request to the token ids that go into the model, cut to fit the context.

Nothing is rendered or tokenised that cannot fit: see docs/decisions/admission.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
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
from models.engine.history import History, size_of, texts_of, without_middle
from models.engine.infill import infill_tokens
from models.engine.plain import ends_of, is_short
from models.engine.prepared import Prompt, Whole, rounded_up
from models.engine.sight import Sight, in_parts, pieces_of, with_places
from models.engine.template import ChatTemplate, in_place_of
from models.engine.thought_budget import budget_of
from models.engine.tokenizer import Tokenizer
from models.errors import ContextOverflow, InvalidRequest
from models.fill_in import FillIn
from models.markup import Thoughts
from models.model_family import UNMARKED
from models.pictures import images_of, pictures_of

_SMALLEST_CONTEXT = 4  # Ollama's own minimum for num_ctx
_USUAL_ANSWER = 1024  # tokens that are left for one, where a chat is cut to fit


class _Fitted(NamedTuple):
    whole: Whole
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
    sight: Sight | None = None  # None: it takes no pictures
    # Does what a draw needs and takes long, so that it is not done between two steps of others.
    get_ready: Callable[[SamplingParams], None] | None = None
    _openings: list[list[int]] = field(default_factory=list[list[int]])  # of a thought, once asked

    def prepare(self, request: GenerateRequest) -> Prompt:
        """Apply the chat template, tokenise, and make it fit. Images are to be ``Seen``.

        Raises:
            ContextOverflow: the prompt is too long, and the request does not want it cut.
            InvalidRequest: there is nothing to read, the template refuses the messages, there
                is a suffix and the model has no tokens for it, no answer can be as it is
                asked for, or a picture has no place.
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
        whole, tokens = fitted.whole, fitted.whole.tokens
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        if self.get_ready:
            self.get_ready(request.sampling)
        left = min(rounded_up(context), self.context_length) - len(tokens)
        template = self._template(request)
        family = template.family if template and not isinstance(request.prompt, str) else UNMARKED
        checkpoints = ()
        if self.marks and not fitted.cut:
            checkpoints = self._checkpoints(request, fitted.dropped_messages, whole)
        in_thought = family.thoughts is not None and self._ends_in(family.thoughts, tokens)
        return Prompt(
            tuple(tokens),
            min(left, request.max_tokens or left),
            fitted.dropped_messages,
            checkpoints,
            self.grammars.make(request, tokens, family) if self.grammars else None,
            fitted.cut,
            family,
            in_thought,
            whole.pictures,
            whole.pieces,
            budget_of(request, family, self.tokenizer, begun=in_thought),
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
                tokens = self._tokens(request, messages).tokens
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
            return _Fitted(Whole(before + self._around(request, room - len(before))))
        prompt = self._read(request)
        if isinstance(prompt, str):
            fitted = self._plain(request, prompt, room)
        elif request.overflow is Overflow.REFUSE:
            fitted = _Fitted(self._whole(request, prompt, room))
        else:
            fitted = self._newest(request, prompt, room)
        whole = fitted.whole
        tokens = whole.tokens if isinstance(prompt, str) else self._behind(request, whole.tokens)
        tokens = [*request.preceding_tokens, *tokens]
        if len(tokens) <= room:
            return fitted._replace(whole=replace(whole, tokens=tokens))
        if request.overflow is not Overflow.TRUNCATE or whole.pictures:
            raise TooLong(len(tokens), exact=True)
        return _Fitted(Whole(without_middle(tokens, room)), fitted.dropped_messages, cut=True)

    def _read(self, request: GenerateRequest) -> str | tuple[Message, ...]:
        """Return the messages, or the text that is to be read as it stands."""
        if isinstance(request.prompt, str):
            return request.prompt
        bare = self._template(request) is None and request.overflow is not Overflow.DROP
        if bare and not any(images_of(request.prompt)):
            return _joined(request.prompt)
        return request.prompt

    def _around(self, request: GenerateRequest, room: int) -> list[int]:
        if self.fill_in is None:
            raise InvalidRequest("This model cannot fill in the middle: leave out the suffix.")
        room -= len(self._begun(request, []))
        return self._begun(request, infill_tokens(request, self.fill_in, self.tokenizer, room))

    # -- A chat ----------------------------------------------------------------

    def _whole(self, request: GenerateRequest, messages: tuple[Message, ...], room: int) -> Whole:
        size = sum(map(size_of, messages))
        refuse_by_size(self.tokenizer, size, room)
        if size > room * LONG_CHARACTERS:
            # It would be long work for the template too.
            said = (text for message in messages for text in texts_of(message))
            tokens_within(self.tokenizer, "\n".join(said), room)
        whole = self._tokens(request, messages, room)
        template = self._template(request)
        if template and (template is self.template or template.writes_bos):
            return whole
        return replace(whole, tokens=self._begun(request, whole.tokens))

    def _tokens(
        self, request: GenerateRequest, messages: tuple[Message, ...], most: int | None = None
    ) -> Whole:
        """Raises TooLong where there are more than ``most``."""
        text = self._render(request, messages)
        pictures = pictures_of(messages)
        if not pictures:
            if most is None:
                return Whole(all_tokens(self.tokenizer, text))
            return Whole(tokens_within(self.tokenizer, text, most))
        if request.preceding_tokens:
            raise InvalidRequest("A context cannot come before pictures: send the chat instead.")
        sight = self._sight()
        pieces = pieces_of(readable(text), sight, pictures)
        tokens = sight.tokens(pieces, pictures, self.tokenizer)
        if most is not None and len(tokens) > most:
            raise TooLong(len(tokens), exact=True, likely=len(tokens))
        return Whole(tokens, pictures, pieces)

    def _sight(self) -> Sight:
        if self.sight is None:
            raise InvalidRequest("This model takes no pictures: leave them out.")
        return self.sight

    def _newest(
        self, request: GenerateRequest, messages: tuple[Message, ...], room: int
    ) -> _Fitted:
        """Return the newest exchanges; cut, where that is wanted and the last is too long."""

        def measure(some: tuple[Message, ...], most: int) -> Whole:
            return self._whole(request, some, most)

        if request.overflow is Overflow.DROP:
            # What is full to the brim fits, and can be answered with one token.
            answer = min(request.max_tokens or _USUAL_ANSWER, room // 4)
            kept, whole = History(messages, measure, room - answer).newest_in_steps()
            whole = measure(kept, room) if whole is None else whole
            return _Fitted(whole, len(messages) - len(kept))
        history = History(messages, measure, room)
        kept, whole = history.newest()
        dropped = len(messages) - len(kept)
        if whole is not None:
            return _Fitted(whole, dropped)
        return _Fitted(history.with_texts_cut(kept), dropped, cut=True)

    def _render(
        self, request: GenerateRequest, messages: tuple[Message, ...], *, ask: bool = True
    ) -> str:
        template = self._template(request)
        more = request.template_variables
        if any(images_of(messages)):
            messages, template = with_places(messages, self._sight(), template)
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

    def _checkpoints(self, request: GenerateRequest, dropped: int, whole: Whole) -> tuple[int, ...]:
        prompt = self._read(request)
        if isinstance(prompt, str) or request.preceding_tokens:
            return ()
        messages = without_oldest(prompt, dropped)
        text = readable(self._render(request, messages))
        encode = self.tokenizer.encode
        if whole.pictures:
            encode = in_parts(self._sight(), whole.pictures, self.tokenizer)
        found = ends(messages, text, lambda some: readable(self._render(request, some, ask=False)))
        return places(encode, text, whole.tokens, found)

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
        if request.overflow is Overflow.TRUNCATE and is_short(text, room):
            tokens = self._begun(request, all_tokens(tokenizer, text))
            return _Fitted(Whole(without_middle(tokens, room)), cut=len(tokens) > room)
        try:
            return _Fitted(Whole(self._begun(request, tokens_within(tokenizer, text, room))))
        except TooLong:
            if request.overflow is not Overflow.TRUNCATE:
                raise
            ends = ends_of(tokenizer, text, room, partial(self._begun, request))
            return _Fitted(Whole(ends), cut=True)

    def _begun(self, request: GenerateRequest, tokens: list[int]) -> list[int]:
        """Put the model's BOS in front where it wants one, once, and never in the middle."""
        bos = self.tokenizer.bos
        if bos is None or request.preceding_tokens or tokens[:1] == [bos]:
            return tokens
        return [bos, *tokens]


def _joined(messages: tuple[Message, ...]) -> str:
    """What a model without a template reads of a chat."""
    return "\n\n".join(each.text for each in messages)
