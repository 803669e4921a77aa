"""Whatever is sent, it is answered: no 500, no traceback, and 503 only with when to come again."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from server.openapi import document
from server.routes import FAMILIES, Family
from tests.server.conftest import Answer
from tests.server.lawful import BODIES, body_with
from tests.server.obliging import ObligingServing
from tests.server.test_every_error import path_of

# The same examples each time, and no file of them is kept.
FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MODEL = "scripted"  # else a request ends where its model is looked for
NEVER = {500, 501, 502, 504, 507}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@pytest.fixture
def serving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[ObligingServing]:
    serving = ObligingServing(tmp_path)
    yield serving
    serving.server.stop()
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def check(answer: Answer, asked: object) -> None:
    assert answer.status not in NEVER, (asked, answer)
    assert b"Traceback" not in answer.body, (asked, answer)
    if answer.status == 503:
        assert "retry-after" in answer.headers, (asked, answer)
    if answer.status >= 400 and answer.body:
        assert b"<html" not in answer.body.lower(), (asked, answer)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_whatever_the_description_allows_is_answered(serving: ObligingServing, family: Family):
    described = schemathesis.openapi.from_dict(document())
    operations = [each.ok() for each in described.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) > 50
    base = f"http://127.0.0.1:{serving.port}"
    for operation in [each for each in operations if family.name in (each.tags or ())]:

        @FEW
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            if isinstance(case.body, dict) and "model" in case.body:
                case.body["model"] = MODEL
            response = case.call(base_url=base)
            headers = {name.lower(): " ".join(value) for name, value in response.headers.items()}
            check(Answer(response.status_code, headers, response.content or b""), case)

        ask()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_whatever_stands_in_a_field_is_answered(serving: ObligingServing, family: Family):
    for route in family.routes:
        for row in route.rows:

            @settings(FEW, max_examples=2)
            @given(value=anything)
            def ask(value: Any) -> None:
                body = body_with(route.path, row)  # noqa: B023
                _put(body, row.name, value)  # noqa: B023
                answer = serving.ask(route.method, path_of(route), body)  # noqa: B023
                check(answer, (route.path, body))  # noqa: B023

            ask()


def _put(body: Any, name: str, value: object) -> None:
    *steps, last = name.split(".")
    for step in steps:
        body = body[step.removesuffix("[]")]
        if step.endswith("[]"):
            body = body[-1]
    body[last] = value


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_body_of_bytes_is_answered(serving: ObligingServing, family: Family):
    for route in family.routes:
        if route.path not in BODIES:
            continue
        data = json.dumps(BODIES[route.path]).encode()

        @FEW
        @given(at=st.integers(0, len(data)), cut=st.integers(0, 9), more=st.binary(max_size=9))
        def ask(at: int, cut: int, more: bytes) -> None:
            broken = data[:at] + more + data[at + cut :]  # noqa: B023
            check(serving.ask(route.method, path_of(route), broken), broken)  # noqa: B023

        ask()
