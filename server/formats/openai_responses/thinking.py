"""How hard a model is to think, and how its thoughts are to be told."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.chat import Thinking
from models.errors import InvalidRequest
from server.fields import Fields, Json

_EFFORTS: Mapping[str, Thinking] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_SUMMARIES = ("auto", "concise", "detailed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """``wish`` is the field that asks for thinking where a model that cannot may pass it over.

    ``as_summary``: clients that ask for a summary show nothing else of a thought.
    """

    thinking: Thinking
    wish: str
    as_summary: bool
    told: Json | None  # as the response tells of it


def read_thinking(fields: Fields) -> Wanted:
    """Raises InvalidRequest."""
    reasoning = fields.inner("reasoning")
    effort = _effort(reasoning, "effort") if reasoning else None
    summary = _summary(reasoning) if reasoning else None
    told: Json | None = None
    if reasoning is not None:
        told = {"effort": reasoning.given().get("effort"), "summary": summary}
    thinking, wish = effort, "" if effort is None else "reasoning.effort"
    if fields.has("think"):  # ours, and meant
        value = fields.value("think")
        thinking, wish = (value if isinstance(value, bool) else _effort(fields, "think")), ""
    elif effort is None and (template := fields.inner("chat_template_kwargs")):
        thinking = template.flag("enable_thinking")
        wish = "" if thinking is None else "chat_template_kwargs.enable_thinking"
    return Wanted(thinking, wish, summary is not None, told)


def _effort(fields: Fields, name: str) -> Thinking:
    effort = fields.text(name)
    if effort is not None and effort not in _EFFORTS:
        raise _not_among(fields, name, _EFFORTS, effort)
    return None if effort is None else _EFFORTS[effort]


def _summary(reasoning: Fields) -> str | None:
    summary = reasoning.text("summary")
    old = reasoning.text("generate_summary")
    summary = summary or old
    if summary is not None and summary not in _SUMMARIES:
        raise _not_among(reasoning, "summary", _SUMMARIES, summary)
    return summary


def _not_among(
    fields: Fields, name: str, known: Mapping[str, object] | tuple[str, ...], got: str
) -> InvalidRequest:
    field = fields.name(name)
    return InvalidRequest(
        f'"{field}" must be one of {", ".join(known)}, not {got[:40]!r}.', field=field
    )
