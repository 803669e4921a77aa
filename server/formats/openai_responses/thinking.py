"""How hard a model is to think, and how its thoughts are to be told."""

from dataclasses import dataclass

from models.chat import Thinking
from models.errors import InvalidRequest
from server.fields import Fields, Json
from server.openai_fields import read_effort

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
    effort = read_effort(reasoning, "effort") if reasoning else None
    summary = _summary(reasoning) if reasoning else None
    told: Json | None = None
    if reasoning is not None:
        told = {"effort": reasoning.given().get("effort"), "summary": summary}
    thinking, wish = effort, "" if effort is None else "reasoning.effort"
    if fields.has("think"):  # ours, and meant
        value = fields.value("think")
        thinking, wish = (value if isinstance(value, bool) else read_effort(fields, "think")), ""
    elif effort is None and (template := fields.inner("chat_template_kwargs")):
        thinking = template.flag("enable_thinking")
        wish = "" if thinking is None else "chat_template_kwargs.enable_thinking"
    return Wanted(thinking, wish, summary is not None, told)


def _summary(reasoning: Fields) -> str | None:
    summary = reasoning.text("summary")
    old = reasoning.text("generate_summary")
    summary = summary or old
    if summary is not None and summary not in _SUMMARIES:
        field = reasoning.name("summary")
        known = ", ".join(_SUMMARIES)
        raise InvalidRequest(
            f'"{field}" must be one of {known}, not {summary[:40]!r}.', field=field
        )
    return summary
