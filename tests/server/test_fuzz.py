"""Whatever is sent, it is answered: no 500, no traceback, and 503 only with when to come again."""

import json
import logging
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from server.openapi import document
from server.routes import FAMILIES, Family
from tests.server.conftest import Answer
from tests.server.lawful import BODIES, body_with
from tests.server.obliging import ObligingServing
from tests.server.test_every_error import path_of

# The same examples each time, and no file of them is kept.
FEW = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MODEL = "scripted"  # else a request ends where its model is looked for
NEVER = {500, 501, 502, 504, 507}

# What no field takes, and what some take: each field is given two of them.
ODD = (
    None, True, False, 0, -1, 7, 0.5, -1e308, 10**25, "", "a", "\0é\U0001f600", "-1", "1h", "auto",
    [], [None], [[]], [""], [-1], [{}], {}, {"": None}, {"type": "a"}, {"type": 1}, {"a": [{}]},
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis draws from the constants of all our modules that are loaded: of another number
    after other tests, and it reads each of them first."""
    monkeypatch.setattr(providers, "_get_local_constants", Constants)


@cache
def described() -> list[APIOperation]:
    config = schemathesis.Config()
    # For no codec it has no table of all characters to make, which takes seconds.
    config.projects.default.generation.codec = None
    schema = schemathesis.openapi.from_dict(document(), config=config)
    return [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]


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
    operations = described()
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
    odd = cycle(ODD)
    for route in family.routes:
        for row in route.rows:
            for value in islice(odd, 2):
                body = body_with(route.path, row)
                _put(body, row.name, value)
                check(serving.ask(route.method, path_of(route), body), (route.path, body))


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
