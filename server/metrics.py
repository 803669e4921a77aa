"""``GET /metrics``: the program at work, as Prometheus reads it; docs/metrics.md has the names."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Blueprint, Response

from models.resident import Resident
from models.totals import Totals
from server.asgi import Asgi
from server.streams import Streams
from server.wires import wire_at

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Answered: TypeAlias = Counter[tuple[str, int]]
"""How many answers there were, by their wire and status."""


class CountedAnswers:
    """Passes everything on to ``app``, and counts the answers as they begin."""

    def __init__(self, app: Asgi, answered: Answered) -> None:
        self._app = app
        self._answered = answered

    async def __call__(
        self,
        scope: Any,  # noqa: ANN401 - one of ASGI's many dicts
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = {name.lower().decode("latin-1") for name, _ in scope["headers"]}
        wire = wire_at(scope["path"], names).name

        async def counted(message: Any) -> None:  # noqa: ANN401 - one of ASGI's many dicts
            if message["type"] == "http.response.start":
                self._answered[wire, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


def routes(streams: Streams, answered: Answered) -> Blueprint:
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        engines = streams.engines
        found = [
            *_requests(answered, len(streams.running())),
            *_totals(engines.totals()),
            *_models(engines.residents()),
            *_of_llama_server(engines.totals(), engines.residents()),
        ]
        return Response("".join(_text(each) for each in found), content_type=_CONTENT_TYPE)

    return blueprint


class Metric(NamedTuple):
    """``samples`` are values by their labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Mapping[tuple[tuple[str, str], ...], float]


def _one(name: str, kind: Literal["counter", "gauge"], help: str, value: float) -> Metric:
    return Metric(name, kind, help, {(): value})


def _requests(answered: Answered, running: int) -> Iterator[Metric]:
    yield Metric(
        "inglenook_http_requests_total",
        "counter",
        "Answers that have begun, by API and status.",
        {
            (("wire", wire), ("status", str(status))): count
            for (wire, status), count in sorted(answered.items())
        },
    )
    yield _one(
        "inglenook_requests_open", "gauge", "Requests of the API that have not ended.", running
    )


def _totals(totals: Totals) -> Iterator[Metric]:
    for name, help, value in (
        ("prompt_tokens", "Tokens of prompts, cached ones too.", totals.prompt_tokens),
        ("cached_tokens", "Prompt tokens that were found in a cache.", totals.cached_tokens),
        ("completion_tokens", "Tokens written.", totals.completion_tokens),
        ("embedded_tokens", "Tokens embedded or ranked.", totals.embedded_tokens),
        ("prefill_seconds", "Seconds in which prompts were read.", totals.prefill_seconds),
        ("decode_seconds", "Seconds in which tokens were written.", totals.decode_seconds),
        ("unread_calls", "Tool calls that could not be read.", totals.unread_calls),
    ):
        yield _one(f"inglenook_{name}_total", "counter", help, value)


def _models(residents: Sequence[Resident]) -> Iterator[Metric]:
    loading = sum(each.loading for each in residents)
    yield _one("inglenook_models_loaded", "gauge", "Models in memory.", len(residents) - loading)
    yield _one("inglenook_models_loading", "gauge", "Models on their way there.", loading)

    def each_model(name: str, help: str, values: Sequence[float]) -> Metric:
        labels = [(("model", str(each.model.name)),) for each in residents]
        return Metric(f"inglenook_{name}", "gauge", help, dict(zip(labels, values, strict=True)))

    yield each_model(
        "memory_promised_bytes",
        "Memory that is promised to a model.",
        [each.size_bytes for each in residents],
    )
    yield each_model(
        "requests_running",
        "Requests of a model, waiting ones too.",
        [each.running for each in residents],
    )
    yield each_model(
        "requests_queued", "Of these, those that wait.", [each.queued for each in residents]
    )
    yield each_model(
        "tokens_per_second",
        "Tokens written in the last seconds.",
        [each.doing.tokens_per_second for each in residents],
    )


def _of_llama_server(totals: Totals, residents: Sequence[Resident]) -> Iterator[Metric]:
    """The same under the names for which there are dashboards."""
    read = totals.prompt_tokens - totals.cached_tokens
    queued = sum(each.queued for each in residents)
    running = sum(each.running for each in residents) - queued
    for name, help, value in (
        ("prompt_tokens", "Number of prompt tokens processed.", read),
        ("prompt_seconds", "Prompt process time in seconds.", totals.prefill_seconds),
        ("tokens_predicted", "Number of tokens written.", totals.completion_tokens),
        ("tokens_predicted_seconds", "Time in which they were.", totals.decode_seconds),
    ):
        yield _one(f"llamacpp:{name}_total", "counter", help, value)
    for name, help, value in (
        (
            "prompt_tokens_seconds",
            "Average tokens/s of prompts.",
            _rate(read, totals.prefill_seconds),
        ),
        (
            "predicted_tokens_seconds",
            "Average tokens/s written.",
            _rate(totals.completion_tokens, totals.decode_seconds),
        ),
        ("requests_processing", "Requests that are answered now.", running),
        ("requests_deferred", "Requests that wait.", queued),
    ):
        yield _one(f"llamacpp:{name}", "gauge", help, value)


def _rate(count: int, seconds: float) -> float:
    return count / seconds if seconds else 0.0


def _text(metric: Metric) -> str:
    said = [
        f"# HELP {metric.name} {metric.help}",
        f"# TYPE {metric.name} {metric.kind}",
        *(f"{metric.name}{_braced(labels)} {value}" for labels, value in metric.samples.items()),
    ]
    return "\n".join(said) + "\n"


def _braced(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
