"""From a request to the token ids that go into the model, cut to fit the context.

Nothing is rendered or tokenised that cannot fit: see docs/decisions/admission.md.
"""

from dataclasses import dataclass

from models.chat import GenerateRequest, Message, Overflow
from models.engine.counted import (
    LONG_CHARACTERS,
    TooLong,
    all_tokens,
    refuse_by_size,
    tokens_within,
)
from models.engine.history import History, room_for_cut, size_of, texts_of, without_middle
from models.engine.prepared import Prompt, rounded_up
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Tokenizer
from models.errors import ContextOverflow, InvalidRequest

_SMALLEST_CONTEXT = 4  # Ollama's own minimum for num_ctx
_LIKELY_CHARACTERS = 8  # a token: a text that is no longer is tokenised as a whole


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

    def prepare(self, request: GenerateRequest) -> Prompt:
        """Apply the chat template, tokenise, and make it fit.

        Raises:
            ContextOverflow: the prompt is too long, and the request does not want it cut.
            InvalidRequest: there is nothing to read, or the template refuses the messages.
            ModelCrashed: the tokenizer went with its process.
        """
        context = max(_SMALLEST_CONTEXT, request.context_length or self.context_length)
        room = min(context, self.context_length) - 1  # at least one token must follow
        try:
            tokens, dropped = self._within(request, room)
        except TooLong as error:
            raise ContextOverflow(
                prompt_tokens=error.tokens, context_length=room + 1, at_least=not error.exact
            ) from None
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        whole = min(rounded_up(context), self.context_length) - len(tokens)
        return Prompt(tuple(tokens), min(whole, request.max_tokens or whole), dropped)

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

    def _within(self, request: GenerateRequest, room: int) -> tuple[list[int], int]:
        """Return tokens that fit, and how many messages were dropped. Raises TooLong."""
        before = list(request.preceding_tokens)
        prompt = self._read(request)
        if isinstance(prompt, str):
            tokens, dropped = self._plain(request, prompt, room), 0
        elif request.overflow is Overflow.REFUSE:
            tokens, dropped = self._behind(request, self._whole(request, prompt, room)), 0
        else:
            tokens, dropped = self._newest(request, prompt, room)
            tokens = self._behind(request, tokens)
        tokens = before + tokens
        if len(tokens) > room:  # with what went before
            if request.overflow is Overflow.REFUSE:
                raise TooLong(len(tokens), exact=True)
            tokens = without_middle(tokens, room)
        return tokens, dropped

    def _read(self, request: GenerateRequest) -> str | tuple[Message, ...]:
        """Return the messages, or the text that is to be read as it stands."""
        if isinstance(request.prompt, str):
            return request.prompt
        if self.template is None:
            return "\n\n".join(each.text for each in request.prompt)
        return request.prompt

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
        return tokens_within(self.tokenizer, self._render(request, messages), room)

    def _newest(
        self, request: GenerateRequest, messages: tuple[Message, ...], room: int
    ) -> tuple[list[int], int]:
        history = History(messages, lambda some, most: self._whole(request, some, most), room)
        kept, tokens = history.newest()
        if tokens is not None:
            return tokens, len(messages) - len(kept)
        return history.with_texts_cut(kept), len(messages) - len(kept)

    def _render(self, request: GenerateRequest, messages: tuple[Message, ...]) -> str:
        assert self.template is not None, "or it would be text"
        tools = () if request.tool_choice.mode == "none" else request.tools
        return self.template.render(messages, tools, request.thinking)

    def _behind(self, request: GenerateRequest, tokens: list[int]) -> list[int]:
        """Leave out the BOS that a template writes: behind a context it is in the middle."""
        bos = self.tokenizer.bos if request.preceding_tokens else None
        if bos is None or bos not in tokens:
            return tokens
        place = tokens.index(bos)
        return tokens[:place] + tokens[place + 1 :]

    # -- A plain prompt --------------------------------------------------------

    def _plain(self, request: GenerateRequest, text: str, room: int) -> list[int]:
        tokenizer = self.tokenizer
        if request.overflow is Overflow.REFUSE:
            return self._begun(request, tokens_within(tokenizer, text, room))
        if len(text) <= room * _LIKELY_CHARACTERS:
            tokens = self._begun(request, all_tokens(tokenizer, text))
            return tokens if len(tokens) <= room else without_middle(tokens, room)
        try:
            return self._begun(request, tokens_within(tokenizer, text, room))
        except TooLong:
            return self._ends(request, text, room)

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
