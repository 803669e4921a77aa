"""From a request to the token ids that go into the model, cut to fit the context."""

from bisect import bisect_left
from dataclasses import dataclass

from models.chat import GenerateRequest, Message, Overflow
from models.engine.template import ChatTemplate
from models.engine.tokenizer import Tokenizer
from models.errors import ContextOverflow, InvalidRequest

# llama.cpp rounds a context up to this many tokens (src/llama-context.cpp), and Ollama
# with it: a smaller ``num_ctx`` cuts the prompt, and not the answer.
_CONTEXT_STEP = 256
_SMALLEST_CONTEXT = 4  # Ollama's own minimum for num_ctx
_KEPT_HEAD = 4  # Ollama's num_keep: tokens kept when the middle of a prompt is cut out


@dataclass(frozen=True, slots=True)
class Prompt:
    tokens: tuple[int, ...]
    max_tokens: int  # that may follow, > 0
    dropped_messages: int = 0


@dataclass(frozen=True, slots=True)
class Prompter:
    template: ChatTemplate | None
    tokenizer: Tokenizer
    context_length: int

    def prepare(self, request: GenerateRequest) -> Prompt:
        context = max(_SMALLEST_CONTEXT, request.context_length or self.context_length)
        room = min(context, self.context_length) - 1  # at least one token must follow
        tokens = self._encode(request, room)
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        if len(tokens) > room:
            if request.overflow is Overflow.REFUSE:
                raise ContextOverflow(prompt_tokens=len(tokens), context_length=room + 1)
            tokens = _without_middle(tokens, room)
        whole = min(_rounded_up(context), self.context_length) - len(tokens)
        return Prompt(tuple(tokens), min(whole, request.max_tokens or whole))

    def _encode(self, request: GenerateRequest, room: int) -> list[int]:
        before = list(request.preceding_tokens)
        prompt = request.prompt
        if isinstance(prompt, str):
            return before + self._tokenize(prompt)

        def dropping(count: int) -> list[int]:
            return before + self._tokenize(self._render(_without_oldest(prompt, count)))

        tokens = dropping(0)
        if len(tokens) <= room or request.overflow is Overflow.REFUSE:
            return tokens
        droppable = sum(each.role != "system" for each in prompt[:-1])
        count = bisect_left(range(droppable), -room, key=lambda drop: -len(dropping(drop)))
        return dropping(count)

    def _tokenize(self, text: str) -> list[int]:
        # Half of a surrogate pair, which JSON and a shell can carry, is no character.
        return self.tokenizer.encode(text.encode("utf-8", "replace").decode())

    def _render(self, messages: tuple[Message, ...]) -> str:
        if self.template is None:  # a base model: it goes on from whatever it is given
            return "\n\n".join(each.text for each in messages)
        return self.template.render(messages)


def _without_oldest(messages: tuple[Message, ...], count: int) -> tuple[Message, ...]:
    """Drop ``count`` messages from the front, never a system message or the last."""
    kept: list[Message] = []
    for message in messages[:-1]:
        if message.role != "system" and count > 0:
            count -= 1
        else:
            kept.append(message)
    return (*kept, *messages[-1:])


def _without_middle(tokens: list[int], room: int) -> list[int]:
    """Keep the head and as much of the tail as leaves half of the context for the answer."""
    head = min(_KEPT_HEAD, room)
    tail = (room + 1 - head) // 2 if room > head else 0
    return tokens[:head] + tokens[len(tokens) - tail :]


def _rounded_up(context: int) -> int:
    return -(-context // _CONTEXT_STEP) * _CONTEXT_STEP
