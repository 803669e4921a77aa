"""What is asked and answered in the words of every wire: bodies out, answers and streams in."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.measure import JSON


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said; ``calls`` are (id, name, arguments), and ``id`` that of a result's."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    calls: tuple[tuple[str, str, JSON], ...] = ()
    id: str = ""
    name: str = ""  # of the tool that says it, for the wire that has no ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    turns: tuple[Turn, ...]
    tools: tuple[JSON, ...] = ()
    must_call: bool = False  # Ollama's wire has no word for it
    form: JSON | None = None  # the schema of the answer
    thinking: bool | None = None
    max_tokens: int = 400
    sampling: JSON = field(default_factory=lambda: {"temperature": 0})


@dataclass(slots=True)
class Answer:
    status: int = 200
    error: str = ""
    text: str = ""
    thought: str = ""
    calls: list[list[str]] = field(default_factory=list[list[str]])  # name, arguments
    end: str | None = ""  # in the wire's own word
    cached_tokens: int = 0
    prompt_tokens: int = 0

    @property
    def is_cut(self) -> bool:
        return self.end in ("length", "max_tokens", "incomplete")


# -- OpenAI's chat ---------------------------------------------------------------------


def _openai_tools(question: Question) -> JSON:
    tools = [{"type": "function", "function": tool} for tool in question.tools]
    return ({"tools": tools} if tools else {}) | _openai_choice(question)


def _openai_choice(question: Question) -> JSON:
    return {"tool_choice": "required"} if question.must_call else {}


def chat(question: Question) -> JSON:
    form = {"name": "form", "schema": question.form, "strict": True}
    return {
        "messages": [_chat_message(turn) for turn in question.turns],
        "max_tokens": question.max_tokens,
        **_openai_tools(question),
        **(
            {"response_format": {"type": "json_schema", "json_schema": form}}
            if form["schema"]
            else {}
        ),
        **_effort(question, lambda effort: {"reasoning_effort": effort}),
        **question.sampling,
    }


def _effort(question: Question, say: Callable[[str], JSON]) -> JSON:
    return {} if question.thinking is None else say("medium" if question.thinking else "none")


def _chat_message(turn: Turn) -> JSON:
    if turn.role == "tool":
        return {"role": "tool", "tool_call_id": turn.id, "content": turn.text}
    calls = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for id, name, given in turn.calls
    ]
    return {"role": turn.role, "content": turn.text} | ({"tool_calls": calls} if calls else {})


def chat_whole(said: JSON, answer: Answer) -> None:
    (choice,) = said["choices"]
    message = choice["message"]
    answer.text = message["content"] or ""
    answer.thought = message.get("reasoning_content", "")
    answer.end = choice["finish_reason"]
    for call in message.get("tool_calls", ()):
        answer.calls.append([call["function"]["name"], call["function"]["arguments"]])
    _openai_usage(said["usage"], answer)


def _openai_usage(usage: JSON, answer: Answer) -> None:
    details: JSON = usage.get("prompt_tokens_details") or usage["input_tokens_details"]
    answer.cached_tokens = details["cached_tokens"]
    answer.prompt_tokens = usage.get("prompt_tokens") or usage.get("input_tokens") or 0


def chat_piece(said: JSON, answer: Answer) -> None:
    for choice in said["choices"]:
        delta = choice["delta"]
        answer.text += delta.get("content") or ""
        answer.thought += delta.get("reasoning_content") or ""
        answer.end = choice["finish_reason"] or answer.end
        for call in delta.get("tool_calls", ()):
            if "name" in call["function"]:
                answer.calls.append([call["function"]["name"], ""])
            answer.calls[call["index"]][1] += call["function"]["arguments"]


# -- OpenAI's Responses ------------------------------------------------------------------


def responses(question: Question) -> JSON:
    form = {"type": "json_schema", "name": "form", "schema": question.form, "strict": True}
    tools = [{"type": "function", **tool} for tool in question.tools]
    return {
        "input": [item for turn in question.turns for item in _items(turn)],
        "max_output_tokens": question.max_tokens,
        "store": False,
        **({"tools": tools} if tools else {}),
        **_openai_choice(question),
        **({"text": {"format": form}} if question.form else {}),
        **_effort(question, lambda effort: {"reasoning": {"effort": effort}}),
        **question.sampling,
    }


def _items(turn: Turn) -> Iterator[JSON]:
    if turn.role == "tool":
        yield {"type": "function_call_output", "call_id": turn.id, "output": turn.text}
        return
    if turn.text or not turn.calls:
        yield {"role": turn.role, "content": turn.text}
    for id, name, given in turn.calls:
        arguments = json.dumps(given)
        yield {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def responses_whole(said: JSON, answer: Answer) -> None:
    for item in said["output"]:
        match item["type"]:
            case "message":
                answer.text += "".join(part["text"] for part in item["content"])
            case "reasoning":
                answer.thought += "".join(part["text"] for part in item["content"])
            case _:
                answer.calls.append([item["name"], item["arguments"]])
    answer.end = said["status"]
    _openai_usage(said["usage"], answer)


def responses_piece(said: JSON, answer: Answer) -> None:
    match said["type"]:
        case "response.output_text.delta":
            answer.text += said["delta"]
        case "response.reasoning_text.delta":
            answer.thought += said["delta"]
        case "response.output_item.added" if said["item"]["type"] == "function_call":
            answer.calls.append([said["item"]["name"], ""])
        case "response.function_call_arguments.delta":
            answer.calls[-1][1] += said["delta"]
        case "response.completed" | "response.incomplete" | "response.failed":
            answer.end = said["response"]["status"]
        case _:
            pass


# -- Anthropic's -------------------------------------------------------------------------


def anthropic(question: Question) -> JSON:
    system = [turn.text for turn in question.turns if turn.role == "system"]
    kind = "enabled" if question.thinking else "disabled"
    tools = [
        {
            "name": tool["name"],
            "description": tool["description"],
            "input_schema": tool["parameters"],
        }
        for tool in question.tools
    ]
    form = {"type": "json_schema", "schema": question.form}
    return {
        "messages": [_blocks(turn) for turn in question.turns if turn.role != "system"],
        "max_tokens": question.max_tokens,
        **({"system": [_marked(text) for text in system]} if system else {}),
        **({"tools": tools} if tools else {}),
        **({"tool_choice": {"type": "any"}} if question.must_call else {}),
        **({"output_config": {"format": form}} if question.form else {}),
        **({} if question.thinking is None else {"thinking": {"type": kind}}),
        **question.sampling,
    }


def _marked(text: str) -> JSON:
    """What is cached is told only where it is marked, as agents do."""
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}


def _blocks(turn: Turn) -> JSON:
    if turn.role == "tool":
        result = {"type": "tool_result", "tool_use_id": turn.id, "content": turn.text}
        return {"role": "user", "content": [result]}
    blocks: list[JSON] = [{"type": "text", "text": turn.text}] if turn.text else []
    for id, name, given in turn.calls:
        blocks.append({"type": "tool_use", "id": id, "name": name, "input": given})
    return {"role": turn.role, "content": blocks}


def anthropic_whole(said: JSON, answer: Answer) -> None:
    for block in said["content"]:
        match block["type"]:
            case "text":
                answer.text += block["text"]
            case "thinking":
                answer.thought += block["thinking"]
            case _:
                answer.calls.append([block["name"], json.dumps(block["input"])])
    answer.end = said["stop_reason"]
    usage = said["usage"]
    answer.cached_tokens = usage["cache_read_input_tokens"] or 0
    made = usage["cache_creation_input_tokens"] or 0
    answer.prompt_tokens = usage["input_tokens"] + answer.cached_tokens + made


def anthropic_piece(said: JSON, answer: Answer) -> None:
    match said:
        case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}:
            answer.calls.append([name, ""])
        case {"delta": {"type": "text_delta", "text": text}}:
            answer.text += text
        case {"delta": {"type": "thinking_delta", "thinking": thought}}:
            answer.thought += thought
        case {"delta": {"type": "input_json_delta", "partial_json": part}}:
            answer.calls[-1][1] += part
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            answer.end = reason
        case _:
            pass


# -- Ollama's ----------------------------------------------------------------------------


def ollama(question: Question) -> JSON:
    tools = [{"type": "function", "function": tool} for tool in question.tools]
    return {
        "messages": [_ollama_message(turn) for turn in question.turns],
        "options": {"num_predict": question.max_tokens, **question.sampling},
        **({"tools": tools} if tools else {}),
        **({"format": question.form} if question.form else {}),
        **({} if question.thinking is None else {"think": question.thinking}),
    }


def _ollama_message(turn: Turn) -> JSON:
    if turn.role == "tool":
        return {"role": "tool", "tool_name": turn.name, "content": turn.text}
    calls = [{"function": {"name": name, "arguments": given}} for _, name, given in turn.calls]
    return {"role": turn.role, "content": turn.text} | ({"tool_calls": calls} if calls else {})


def ollama_piece(said: JSON, answer: Answer) -> None:
    message = said["message"]
    answer.text += message["content"]
    answer.thought += message.get("thinking", "")
    answer.end = said.get("done_reason", answer.end)
    for call in message.get("tool_calls", ()):
        function = call["function"]
        answer.calls.append([function["name"], json.dumps(function["arguments"])])
    answer.prompt_tokens = said.get("prompt_eval_count", 0)
