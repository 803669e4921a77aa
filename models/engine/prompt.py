"""From a request to the token ids that go into the model, cut to fit the context."""

from bisect import bisect_left
from dataclasses import dataclass

from models.chat import GenerateRequest, Message, Overflow
from models.engine.backend import Backend
from models.errors import ContextOverflow, InvalidRequest

# llama.cpp rounds a context up to this many tokens (src/llama-context.cpp), and Ollama
# with it: a smaller ``num_ctx`` cuts the prompt, and not the answer.
_CONTEXT_STEP = 256
_SMALLEST_CONTEXT = 4  # Ollama's own minimum for num_ctx
_KEPT_HEAD = 4  # Ollama's num_keep: tokens kept when the middle of a prompt is cut out


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    tokens: list[int]
    max_tokens: int  # that may follow, > 0


def encode(backend: Backend, request: GenerateRequest) -> EncodedPrompt:
    """Apply the chat template, tokenise, and make it fit.

    Raises:
        ContextOverflow: the prompt is too long, and the request does not want it cut.
        InvalidRequest: there is nothing to read, or the template refuses the messages.
        ModelCrashed: the tokenizer went with its process.
    """
    context = max(_SMALLEST_CONTEXT, request.context_length or backend.context_length)
    room = min(context, backend.context_length) - 1  # at least one token must follow
    tokens = _encode(backend, request, room)
    if not tokens:
        raise InvalidRequest("The prompt is empty.", field="prompt")
    if len(tokens) > room:
        if request.overflow is Overflow.REFUSE:
            raise ContextOverflow(prompt_tokens=len(tokens), context_length=room + 1)
        tokens = _without_middle(tokens, room)
    whole = min(_rounded_up(context), backend.context_length) - len(tokens)
    return EncodedPrompt(tokens, min(whole, request.max_tokens or whole))


def _encode(backend: Backend, request: GenerateRequest, room: int) -> list[int]:
    before = list(request.preceding_tokens)
    prompt = request.prompt
    if isinstance(prompt, str):
        return before + _tokenize(backend, prompt)

    def dropping(count: int) -> list[int]:
        return before + _tokenize(backend, _render(backend, _without_oldest(prompt, count)))

    tokens = dropping(0)
    if len(tokens) <= room or request.overflow is Overflow.REFUSE:
        return tokens
    droppable = sum(each.role != "system" for each in prompt[:-1])
    count = bisect_left(range(droppable), -room, key=lambda drop: -len(dropping(drop)))
    return dropping(count)


def _tokenize(backend: Backend, text: str) -> list[int]:
    # Half of a surrogate pair, which JSON and a shell can carry, is no character.
    return backend.tokenize(text.encode("utf-8", "replace").decode())


def _render(backend: Backend, messages: tuple[Message, ...]) -> str:
    if backend.template is None:  # a base model: it goes on from whatever it is given
        return "\n\n".join(each.text for each in messages)
    return backend.template.render(messages)


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
