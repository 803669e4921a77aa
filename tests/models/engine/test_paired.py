"""Each result stands behind its call, however a client has sent them."""

from models import chat
from models.chat import Message, Part, Text, ToolCall, ToolResult
from models.engine.paired import paired

ASK = chat.user("Well?")


def call(name: str, id: str = "") -> ToolCall:
    return ToolCall(id, name, "{}")


def result(text: str, id: str = "", name: str = "") -> ToolResult:
    return ToolResult(id, (Text(text),), name)


def calls(*parts: Part) -> Message:
    return Message("assistant", parts)


def results(*parts: Part) -> Message:
    return Message("tool", parts)


def told(*messages: Message) -> str:
    """What stands where, in short: calls as name#id, results as text>id:name."""
    found: list[str] = []
    for message in paired(messages):
        for part in message.parts:
            match part:
                case ToolCall(id, name):
                    found.append(f"{name}#{id}")
                case ToolResult(id, _, name):
                    found.append(f"{part.text}>{id}:{name}")
                case Text(text):
                    found.append(text)
                case _:
                    raise AssertionError(part)
    return " ".join(found)


def test_what_is_in_order_stays():
    assert told(ASK, calls(call("f", "1")), results(result("a", "1")), ASK) == (
        "Well? f#1 a>1:f Well?"
    )


def test_a_chat_without_calls_is_left_alone():
    messages = (ASK, results(result("a", "1")), chat.assistant("Hm."))
    assert paired(messages) is messages


def test_results_come_in_the_order_of_their_calls():
    both = calls(call("f", "1"), call("g", "2"))
    expected = "Well? f#1 g#2 a>1:f b>2:g"
    assert told(ASK, both, results(result("b", "2"), result("a", "1"))) == expected
    assert told(ASK, both, results(result("b", "2")), results(result("a", "1"))) == expected


def test_a_result_before_its_call_comes_behind_it():
    assert told(ASK, results(result("a", "1")), calls(call("f", "1"))) == "Well? f#1 a>1:f"
    assert told(ASK, results(result("a", name="f")), calls(call("f"))) == (
        "Well? f#call_0 a>call_0:f"
    )


def test_a_result_behind_other_words_comes_before_them():
    assert told(calls(call("f", "1")), Message("user", (Text("Hm."), result("a", "1")))) == (
        "f#1 a>1:f Hm."
    )
    assert told(calls(call("f", "1")), ASK, results(result("a", "1")), ASK) == (
        "f#1 a>1:f Well? Well?"
    )


def test_two_results_of_one_call_both_stay():
    assert told(calls(call("f", "1")), results(result("a", "1")), results(result("b", "1"))) == (
        "f#1 a>1:f b>1:f"
    )


def test_without_ids_they_are_matched_by_order():
    assert (
        told(
            *(calls(call("f"), call("f")), results(result("a"), result("b"))),
            *(calls(call("g")), results(result("c"))),
        )
        == "f#call_0 f#call_1 a>call_0:f b>call_1:f g#call_2 c>call_2:g"
    )


def test_without_ids_names_come_first():
    both = calls(call("f"), call("g"))
    assert told(both, results(result("b", name="g"), result("a", name="f"))) == (
        "f#call_0 g#call_1 a>call_0:f b>call_1:g"
    )


def test_an_id_that_no_call_has_is_as_none():
    assert told(calls(call("f", "1")), results(result("a", "x"))) == "f#1 a>1:f"


def test_an_id_that_is_used_again_belongs_to_the_nearest_call_before():
    turn = (calls(call("f", "1")), results(result("a", "1")))
    again = (calls(call("g", "1")), results(result("b", "1")))
    assert told(*turn, ASK, *again) == "f#1 a>1:f Well? g#1 b>1:g"


def test_a_result_of_nothing_stays_where_it_is():
    assert told(calls(call("f", "1")), results(result("a", "1"), result("b", "2"))) == (
        "f#1 a>1:f b>2:"
    )
    assert told(ASK, results(result("a")), calls(call("f", "1"))) == "Well? a>: f#1"


def test_ids_that_are_made_are_no_others():
    assert told(calls(call("f"), call("g", "call_0"))) == "f#call_1 g#call_0"


def test_a_family_may_have_ids_of_its_own():
    messages = (ASK, calls(call("f"), call("g")))
    named = paired(messages, lambda name, number: f"functions.{name}:{number}")
    assert [part.id for part in named[1].parts if isinstance(part, ToolCall)] == [
        "functions.f:0",
        "functions.g:1",
    ]
