"""What models of the Qwen family write, what it is, and how many of its calls cannot be read."""

LOOK = '{"name": "look", "arguments": {"city": "Bern", "days": 2}}'
SAID, THOUGHT, CALLED = "said", "thought", "called"
LOOKED = (CALLED, "look", '{"city": "Bern", "days": 2}')


def tagged(call: str) -> str:
    return f"<tool_call>\n{call}\n</tool_call>"


ANSWERS: dict[str, tuple[str, list[tuple[str, ...]], int]] = {
    "text": ("Hello.\n\nHow < are you? \n", [(SAID, "Hello.\n\nHow < are you? \n")], 0),
    "a call": (
        tagged(LOOK),
        [LOOKED],
        0,
    ),
    "text, calls and text": (
        f"Let me look.\n{tagged(LOOK)}\n{tagged(LOOK)}\n\nAnd then:\n{tagged(LOOK)} Done. ",
        [
            (SAID, "Let me look."),
            LOOKED,
            LOOKED,
            (SAID, "And then:"),
            LOOKED,
            (SAID, "Done. "),
        ],
        0,
    ),
    "a thought": (
        "<think>\nHm.\n\nWell.\n</think>\n\nHi",
        [(THOUGHT, "Hm.\n\nWell."), (SAID, "Hi")],
        0,
    ),
    "an empty thought": ("<think>\n\n</think>\n\nHi", [(SAID, "Hi")], 0),
    "a thought and a call": (
        f"<think>\nHm.\n</think>\n\n{tagged(LOOK)}",
        [(THOUGHT, "Hm."), LOOKED],
        0,
    ),
    "a thought that a call ends": (
        f"<think>\nHm.\n{tagged(LOOK)}",
        [(THOUGHT, "Hm."), LOOKED],
        0,
    ),
    "a thought about calls": (
        f"<think>I could <tool_call> it.</think>{tagged(LOOK)}",
        [(THOUGHT, "I could <tool_call> it."), LOOKED],
        1,
    ),
    "a thought that does not end": ("<think>\nHm ", [(THOUGHT, "Hm")], 0),
    "tags in the middle of a text": (
        "Use <think>, </think> or <tool_call>s.",
        [(SAID, "Use <think>, </think> or <tool_call>s.")],
        1,
    ),
    "markup in a string": (
        tagged(r'{"name": "say", "arguments": {"it": "}</tool_call> {\"a\\"}}'),
        [(CALLED, "say", r'{"it": "}</tool_call> {\"a\\"}')],
        0,
    ),
    "a line break in a string": (
        tagged('{"name": "say", "arguments": {"it": "one\n\ttwo"}}'),
        [(CALLED, "say", r'{"it": "one\n\ttwo"}')],
        0,
    ),
    "characters of several bytes": (
        tagged('{"name": "天气", "arguments": {"in": "Zürich 😀"}}'),
        [(CALLED, "天气", '{"in": "Zürich 😀"}')],
        0,
    ),
    "a quote in a name": (
        tagged(r'{"name": "a\"b", "arguments": {}}'),
        [(CALLED, 'a"b', "{}")],
        0,
    ),
    "no spaces": (
        '<tool_call>{"name":"look","arguments":{"a":[{"b":1}]}}</tool_call>',
        [(CALLED, "look", '{"a":[{"b":1}]}')],
        0,
    ),
    "arguments first": (
        tagged('{"arguments": {"a": "}"}, "name": "look"}'),
        [(CALLED, "look", '{"a": "}"}')],
        0,
    ),
    "parameters": (tagged('{"name": "a", "parameters": {"b": 1}}'), [(CALLED, "a", '{"b": 1}')], 0),
    "no arguments": (tagged('{"name": "look"}'), [(CALLED, "look", "{}")], 0),
    "arguments that are null": (
        tagged('{"name": "look", "arguments": null}'),
        [(CALLED, "look", "{}")],
        0,
    ),
    "arguments as a text": (
        tagged(r'{"name": "look", "arguments": "{\"a\": 1}"}'),
        [(CALLED, "look", '{"a": 1}')],
        0,
    ),
    "more keys": (
        tagged('{"name": "look", "arguments": {"a": 1}, "id": "</tool_call>"}'),
        [(CALLED, "look", '{"a": 1}')],
        0,
    ),
    "two calls in one pair of tags": (
        tagged('{"name": "a", "arguments": {}}\n{"name": "b", "arguments": {}}'),
        [(CALLED, "a", "{}"), (CALLED, "b", "{}")],
        0,
    ),
    "a brace too few": (
        tagged('{"name": "look", "arguments": {"a": 1}') + " Done.",
        [(CALLED, "look", '{"a": 1}'), (SAID, "Done.")],
        0,
    ),
    "a brace too many": (
        tagged('{"name": "look", "arguments": {"a": 1}}}') + " Done.",
        [(CALLED, "look", '{"a": 1}'), (SAID, "Done.")],
        0,
    ),
    "no end tag": (
        '<tool_call>{"name": "look", "arguments": {"a": 1}}\nDone.',
        [(CALLED, "look", '{"a": 1}'), (SAID, "Done.")],
        0,
    ),
    "wrong quotes": (
        tagged("{'name': 'look', 'arguments': {'a': 1}}") + " Sorry.",
        [(SAID, tagged("{'name': 'look', 'arguments': {'a': 1}}") + " Sorry.")],
        1,
    ),
    "wrong quotes in the arguments": (
        tagged("""{"name": "look", "arguments": {'a': 1}}""") + " Sorry.",
        [(CALLED, "look", "{'a': 1}"), (SAID, "Sorry.")],
        1,
    ),
    "no JSON": (
        f"<tool_call>oops</tool_call>\n{tagged(LOOK)}",
        [(SAID, "<tool_call>oops</tool_call>"), LOOKED],
        1,
    ),
    "a list": (tagged("[1]"), [(SAID, tagged("[1]"))], 1),
    "no name": (tagged('{"arguments": {}}'), [(SAID, tagged('{"arguments": {}}'))], 1),
    "an empty name": (
        tagged('{"name": "", "arguments": {"a": 1}}'),
        [(SAID, tagged('{"name": "", "arguments": {"a": 1}}'))],
        1,
    ),
    "an escape that is none": (
        tagged(r'{"name": "\q", "arguments": {"a": 1}}'),
        [(SAID, tagged(r'{"name": "\q", "arguments": {"a": 1}}'))],
        1,
    ),
    "a string that does not end": (
        tagged('{"name": "a, "arguments": {}}') + tagged('{"name": "b"}'),
        [(SAID, tagged('{"name": "a, "arguments": {}}')), (CALLED, "b", "{}")],
        1,
    ),
    "a tag alone": ("Hm. <tool_call>", [(SAID, "Hm.")], 1),
    "half a tag": ("Hm. <tool_ca", [(SAID, "Hm. <tool_ca")], 0),
    "half a name": ('<tool_call>{"name": "lo', [(SAID, '<tool_call>{"name": "lo')], 1),
    "half the arguments": (
        '<tool_call>{"name": "look", "arguments": {"a": "b',
        [(CALLED, "look", '{"a": "b')],
        1,
    ),
    "half an end tag": (f"<tool_call>{LOOK}</tool_", [LOOKED], 0),
    "half a thought's end": ("<think>Hm.</th", [(THOUGHT, "Hm.</th")], 0),
}
