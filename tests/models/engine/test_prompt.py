"""A prompt fits, is cut, or is refused; and what cannot fit is hardly looked at."""

from dataclasses import replace
from typing import Any

import pytest

from models import chat
from models.chat import GenerateRequest, Message, Overflow, ToolCall, ToolResult
from models.engine.prompt import Prompt, Prompter
from models.engine.template import ChatTemplate
from models.errors import ContextOverflow, InvalidRequest
from tests.fakes import TEMPLATE, ByteTokenizer

STRICT = ChatTemplate(
    "{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
)
HUGE = "All work and no play. " * (64 << 20 >> 4)


class WordTokenizer(ByteTokenizer):
    """Up to eight letters are a token."""

    longest_token_bytes = 8

    def encode(self, text: str) -> list[int]:
        self.read.append(text)
        return [len(text[at : at + 8]) for at in range(0, len(text), 8)]


def prepare(
    prompt: str | list[Message],
    *,
    context_length: int = 256,
    tokenizer: ByteTokenizer | None = None,
    template: ChatTemplate | None = TEMPLATE,
    **changes: Any,
) -> Prompt:
    prompter = Prompter(template, tokenizer or ByteTokenizer(), context_length)
    asked = prompt if isinstance(prompt, str) else tuple(prompt)
    return prompter.prepare(GenerateRequest(model="x", prompt=asked, **changes))


def text_of(prompt: Prompt) -> str:
    return bytes(prompt.tokens).decode()


def cut(prompt: str | list[Message], **changes: Any) -> Prompt:
    return prepare(prompt, overflow=Overflow.TRUNCATE, **changes)


def exchange(number: int) -> list[Message]:
    return [chat.user(f"Question {number}?"), chat.assistant(f"Answer {number}.")]


# -- What fits ---------------------------------------------------------------------


def test_messages_go_through_the_template_and_leave_the_rest_to_the_answer():
    prompt = prepare([chat.user("Hello")])

    assert text_of(prompt) == "[user]Hello[assistant]"
    assert prompt.max_tokens == 256 - len(prompt.tokens)


def test_a_count_is_of_the_whole_prompt_however_long():
    prompter = Prompter(TEMPLATE, ByteTokenizer(), 16)

    counted = prompter.count(GenerateRequest(model="x", prompt=(chat.user("Hello " * 100),)))

    assert counted == len("[user]" + "Hello " * 100 + "[assistant]")


def test_half_a_surrogate_pair_is_no_character():
    assert text_of(prepare("a\ud83d")) == "a?"


def test_nothing_to_read_is_refused():
    with pytest.raises(InvalidRequest, match="empty"):
        prepare("")


# -- What does not -----------------------------------------------------------------


def test_a_short_prompt_that_does_not_fit_is_counted_to_its_end():
    with pytest.raises(ContextOverflow) as refused:
        prepare([chat.user("a" * 300)])

    assert refused.value.prompt_tokens == len("[user]" + "a" * 300 + "[assistant]")
    assert "at least" not in str(refused.value)


@pytest.mark.parametrize(
    "prompt", [HUGE, [chat.user(HUGE)], [chat.user("x"), chat.assistant(HUGE)]]
)
def test_what_cannot_fit_by_its_bytes_is_refused_unread(prompt: str | list[Message]):
    tokenizer = WordTokenizer()

    with pytest.raises(ContextOverflow, match="at least") as refused:
        prepare(prompt, tokenizer=tokenizer)

    assert refused.value.prompt_tokens >= len(HUGE) // 8
    assert tokenizer.read == []


def test_a_long_prompt_is_read_until_the_room_is_full_and_no_further():
    class Generous(WordTokenizer):
        longest_token_bytes = 1000  # so that its bytes alone do not tell

    tokenizer = Generous()

    with pytest.raises(ContextOverflow, match="at least"):
        prepare([chat.user("word " * 40_000)], context_length=1024, tokenizer=tokenizer)

    assert sum(map(len, tokenizer.read)) < 40_000


def test_where_a_text_cannot_be_cut_its_beginning_tells():
    class Whole(WordTokenizer):
        longest_token_bytes = 1000
        cuts_cleanly = False

    tokenizer = Whole()

    with pytest.raises(ContextOverflow, match="at least"):
        prepare("word " * 40_000, context_length=1024, tokenizer=tokenizer)

    assert sum(map(len, tokenizer.read)) < 40_000


# -- History -----------------------------------------------------------------------


def test_the_oldest_exchanges_go_whole_and_as_few_as_need_be():
    messages = [chat.system("Be kind."), *(m for n in range(20) for m in exchange(n))]

    prompt = cut([*messages, chat.user("Last?")])

    text = text_of(prompt)
    kept = [n for n in range(20) if f"Question {n}?" in text]
    assert kept == list(range(20 - len(kept), 20))
    assert kept
    assert text.startswith("[system]Be kind.[user]Question")
    assert text.endswith("[user]Last?[assistant]")
    assert all(f"Answer {n}." in text for n in kept)
    assert prompt.dropped_messages == 2 * (20 - len(kept))
    assert len(prompt.tokens) + len("[user]Question 9?[assistant]Answer 9.") > 255


@pytest.mark.parametrize("context_length", range(60, 250, 7))
def test_every_cut_of_a_long_chat_suits_a_strict_template(context_length: int):
    messages = [m for n in range(9) for m in exchange(n)]

    prompt = cut([*messages, chat.user("Last?")], context_length=context_length, template=STRICT)

    assert text_of(prompt).startswith("[user]Question")
    assert text_of(prompt).endswith("[user]Last?[assistant]")


def test_a_call_and_its_result_are_never_parted():
    call = Message("assistant", (ToolCall("1", "clock", "{}"),))
    result = Message("tool", (ToolResult("1", (chat.Text("noon"),)),))
    old = [chat.user("What time is it? " * 5), call, result, chat.assistant("It is noon.")]

    prompt = cut([*old, chat.user("Thanks")], context_length=100)

    assert text_of(prompt) == "[user]Thanks[assistant]"
    assert prompt.dropped_messages == 4


def test_the_last_exchange_stays_with_all_that_its_tools_have_said():
    call = Message("assistant", (ToolCall("1", "clock", "{}"),))
    result = Message("user", (ToolResult("1", (chat.Text("noon"),)),))

    prompt = cut([*exchange(1), chat.user("What time is it?"), call, result], context_length=90)

    assert text_of(prompt) == "[user]What time is it?[assistant][tool]noon[assistant]"


def test_a_chat_of_a_megabyte_is_read_little_further_than_the_room():
    tokenizer = WordTokenizer()
    messages = [m for n in range(20_000) for m in exchange(n)]

    prompt = cut([*messages, chat.user("Last?")], context_length=2048, tokenizer=tokenizer)

    assert len(prompt.tokens) > 0.9 * 2048
    assert sum(map(len, tokenizer.read)) < 10 * 2048 * 8


def test_the_same_message_may_be_said_twice():
    again = chat.user("Again!")

    prompt = cut([again, chat.assistant("No " * 80), again], context_length=100)

    assert text_of(prompt) == "[user]Again![assistant]"


def dropped(prompt: str | list[Message], **changes: Any) -> Prompt:
    return prepare(prompt, overflow=Overflow.DROP, **changes)


def test_where_only_exchanges_may_go_an_answer_has_room():
    messages = [chat.system("Be kind."), *(m for n in range(20) for m in exchange(n))]

    prompt = dropped([*messages, chat.user("Last?")])

    kept = [n for n in range(20) if f"Question {n}?" in text_of(prompt)]
    assert kept == list(range(20 - len(kept), 20))
    assert kept
    assert prompt.dropped_messages == 2 * (20 - len(kept))
    assert not prompt.cut
    assert prompt.max_tokens >= 63  # a quarter of 255


def test_an_answer_that_is_to_be_short_needs_no_more_room_than_that():
    messages = [*(m for n in range(20) for m in exchange(n)), chat.user("Last?")]

    assert len(dropped(messages, max_tokens=5).tokens) > len(dropped(messages).tokens)


def test_where_only_exchanges_may_go_no_message_loses_its_middle():
    with pytest.raises(ContextOverflow) as refused:
        dropped([*exchange(1), chat.user("word " * 1000)], context_length=512)

    assert refused.value.context_length == 512


def test_a_last_message_that_leaves_an_answer_little_room_is_read_all_the_same():
    prompt = dropped([*exchange(1), chat.user("x" * 200)])

    assert text_of(prompt) == "[user]" + "x" * 200 + "[assistant]"
    assert prompt.dropped_messages == 2


def turns_of_a_long_chat(count: int, **changes: Any) -> list[Prompt]:
    """Each turn's prompt, from the first that does not fit."""
    messages = [m for n in range(100, 115) for m in exchange(n)]
    found: list[Prompt] = []
    for number in range(115, 200):
        asked = [*messages, chat.user("And?")]
        prompt = dropped(asked, context_length=1024, **changes)
        found += [prompt] if prompt.dropped_messages else []
        messages += exchange(number)
    return found[:count]


@pytest.mark.parametrize("template", [TEMPLATE, None])
def test_a_chat_that_grows_begins_for_several_turns_with_the_same_message(
    template: ChatTemplate | None,
):
    gone = [each.dropped_messages for each in turns_of_a_long_chat(40, template=template)]

    assert gone == sorted(gone)
    assert all(len(set(gone[turn : turn + 10])) <= 4 for turn in range(30))  # three changes
    assert gone[-1] >= gone[0] + 50


def test_no_more_than_a_good_third_of_what_fits_goes_for_that():
    room = 1023 - 255  # a quarter is the answer's
    for prompt in turns_of_a_long_chat(50):
        one_exchange = len("[user]Question 100?[assistant]Answer 100.")
        assert len(prompt.tokens) + one_exchange > 0.55 * room


def test_exchanges_of_more_than_a_step_go_one_by_one():
    messages = [m for _ in range(6) for m in (chat.user("a" * 60), chat.assistant("b" * 60))]

    prompt = dropped([*messages, chat.user("And?")], context_length=512)

    assert len(prompt.tokens) + 2 * 60 + len("[user][assistant]") > 512 - 1 - 127


def test_a_model_without_a_template_drops_the_oldest_too():
    messages = [m for n in range(20) for m in exchange(n)]

    prompt = dropped([*messages, chat.user("Last?")], template=None)

    assert text_of(prompt).startswith("Question")
    assert text_of(prompt).endswith("Answer 19.\n\nLast?")
    assert prompt.dropped_messages > 0


def test_whether_a_middle_is_missing_is_told():
    assert not cut([chat.user("hi")]).cut
    assert not cut("hi").cut
    assert cut([chat.user("x" * 500)]).cut
    assert cut("x" * 500).cut
    assert cut("x" * 50_000).cut
    assert cut("x" * 200, preceding_tokens=tuple(range(100))).cut


# -- A single text that is too long ------------------------------------------------


def test_the_middle_of_a_message_is_cut_and_the_template_stays_whole():
    text = "Begin " + "middle " * 1000 + "end"

    prompt = cut([chat.system("Be kind."), *exchange(1), chat.user(text)], context_length=512)

    said = text_of(prompt)
    assert said.startswith("[system]Be kind.[user]Begin middle")
    assert said.endswith("middle end[assistant]")
    assert 200 < len(prompt.tokens) <= 258  # half of the context is for the answer
    assert prompt.dropped_messages == 2


def test_of_a_huge_message_no_more_is_read_than_is_kept():
    tokenizer = WordTokenizer()

    prompt = cut([*exchange(1), chat.user(HUGE)], context_length=2048, tokenizer=tokenizer)

    assert len(prompt.tokens) > 700
    assert sum(map(len, tokenizer.read)) < 10 * 2048 * 8


def test_of_a_huge_plain_prompt_the_head_and_the_tail_are_read():
    tokenizer = ByteTokenizer()
    text = "Begin" + HUGE + "end"

    prompt = cut(text, tokenizer=tokenizer)

    assert text_of(prompt) == "Begi" + text[-126:]
    assert sum(map(len, tokenizer.read)) < 2000


def test_a_plain_prompt_a_little_too_long_is_cut_alike():
    text = "".join(f"{number:03} " for number in range(100))

    assert text_of(cut(text)) == text[:4] + text[-126:]


def test_a_context_too_small_for_the_template_still_holds_its_beginning():
    prompt = cut([chat.user("Hello")], context_length=4)

    assert text_of(prompt) == "[us"


# -- Special tokens ----------------------------------------------------------------

BOS = 1


def test_a_rendered_template_gets_no_special_tokens():
    prompt = prepare([chat.user("Hello")], tokenizer=ByteTokenizer(bos=BOS))

    assert text_of(prompt) == "[user]Hello[assistant]"


def test_a_plain_prompt_gets_the_bos_once():
    tokenizer = ByteTokenizer(bos=BOS)

    assert text_of(prepare("Hello", tokenizer=tokenizer)) == "\x01Hello"
    assert text_of(prepare("\x01Hello", tokenizer=tokenizer)) == "\x01Hello"
    assert text_of(prepare([chat.user("Hi")], tokenizer=tokenizer, template=None)) == "\x01Hi"


def test_what_goes_on_from_a_context_has_no_bos_in_its_middle():
    prompt = prepare("Hello", tokenizer=ByteTokenizer(bos=BOS), preceding_tokens=(1, 65, 66))

    assert text_of(prompt) == "\x01ABHello"


@pytest.mark.parametrize("overflow", list(Overflow))
def test_what_goes_on_from_a_context_by_a_template_has_none_either(overflow: Overflow):
    template = ChatTemplate("\n\x01{% for m in messages %}[{{ m.content }}]{% endfor %}")
    request = GenerateRequest(
        model="x", prompt=(chat.user("Hi"),), preceding_tokens=(1, 65), overflow=overflow
    )
    prompter = Prompter(template, ByteTokenizer(bos=BOS), 256)

    assert text_of(prompter.prepare(request)) == "\x01A\n[Hi]"
    assert prompter.count(request) == len("\x01A\n[Hi]")
    first = replace(request, preceding_tokens=())
    assert text_of(prompter.prepare(first)) == "\n\x01[Hi]"


def test_a_prompt_cut_in_its_middle_keeps_the_bos():
    prompt = cut(HUGE, tokenizer=ByteTokenizer(bos=BOS))

    assert text_of(prompt).startswith("\x01All")


def test_tokens_that_went_before_count():
    request = GenerateRequest(model="x", prompt="Hello", preceding_tokens=tuple(range(254)))
    prompter = Prompter(None, ByteTokenizer(), 256)

    with pytest.raises(ContextOverflow):
        prompter.prepare(request)

    tokens = prompter.prepare(replace(request, overflow=Overflow.TRUNCATE)).tokens
    assert tokens == (0, 1, 2, 3, *range(133, 254), *b"Hello")


# -- Where later prompts may part from it ------------------------------------------


def marked(messages: list[Message], **changes: Any) -> list[str]:
    """The texts up to each checkpoint."""
    tokenizer = changes.pop("tokenizer", ByteTokenizer())
    template = changes.pop("template", TEMPLATE)
    prompter = Prompter(template, tokenizer, 256, marks=True)
    prompt = prompter.prepare(GenerateRequest(model="x", prompt=tuple(messages), **changes))
    return [bytes(prompt.tokens[:length]).decode() for length in prompt.checkpoints]


def test_checkpoints_are_the_ends_of_the_system_prompt_and_the_last_two_questions():
    chat_so_far = [chat.system("S"), *exchange(1), *exchange(2), chat.user("Last?")]

    whole = "[system]S[user]Question 1?[assistant]Answer 1.[user]Question 2?"
    assert marked(chat_so_far) == [
        "[system]S",
        whole,
        whole + "[assistant]Answer 2.[user]Last?",
    ]


def test_nobody_reckons_checkpoints_who_has_no_use_for_them():
    tokenizer = ByteTokenizer()

    assert prepare([chat.system("S"), chat.user("Hi")], tokenizer=tokenizer).checkpoints == ()
    assert len(tokenizer.read) == 1


def test_a_prompt_is_tokenised_only_once_more_for_its_checkpoints():
    tokenizer = ByteTokenizer()
    messages = [chat.system("S" * 50), *exchange(1), chat.user("Hi")]

    marked(messages, tokenizer=tokenizer)

    assert sum(map(len, tokenizer.read)) < 2 * len(tokenizer.read[0])


def test_a_template_that_takes_no_system_prompt_alone_has_the_other_checkpoints():
    alternating = ChatTemplate(
        "{% if messages | length < 2 %}{{ raise_exception('no question') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
    )

    messages = [chat.system("S"), chat.user("Hi")]

    assert marked(messages, template=alternating) == ["[system]S[user]Hi[assistant]"]


def test_a_token_that_goes_over_the_end_of_a_message_is_not_in_its_checkpoint():
    class Pairs(ByteTokenizer):
        def encode(self, text: str) -> list[int]:
            return [len(text[at : at + 2]) for at in range(0, len(text), 2)]

    prompter = Prompter(TEMPLATE, Pairs(), 256, marks=True)
    messages = (chat.system("S"), chat.user("Hi"))
    prompt = prompter.prepare(GenerateRequest(model="x", prompt=messages))

    assert prompt.checkpoints == (len("[system]S") // 2,)


def test_checkpoints_of_a_chat_that_was_cut_are_of_what_is_left():
    long = [chat.system("S"), *exchange(1), chat.user("x" * 150), chat.assistant("y"), *exchange(2)]
    messages = [*long, chat.user("z" * 60)]

    found = marked(messages, overflow=Overflow.TRUNCATE)

    assert found[0] == "[system]S"
    assert found[-1].endswith("z" * 60)
