"""The API's description of itself: /openapi.json, its page, and docs/compatibility.md."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server import compatibility
from server.app import create_app
from server.body_schema import HONOUR, body_schema
from server.contract import OBJECT, TEXT, Row
from server.openapi import document
from server.routes import FAMILIES
from server.schema_words import words
from tests.conftest import REPOSITORY
from tests.fakes import RecordedEngines
from tests.server.conftest import HOST, FakeStore
from tests.server.lawful import BODIES

PAGE = REPOSITORY / "docs/compatibility.md"
ROUTES = [route for family in FAMILIES for route in family.routes]
Field = tuple[str, str, str, str, str]  # method, path, name, type, honour


def test_the_page_of_fields_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == compatibility.page(), "make docs"


def told_by_the_page() -> Iterator[Field]:
    method = path = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            _, method, path = line.split()
        elif line.startswith("| `"):
            name, may_be, honour, _ = [each.strip() for each in line.strip("|").split("|")]
            kind = may_be.removesuffix(", required")
            yield method, path, name.strip("`"), kind, honour.partition(",")[0]


def told_by_the_document(described: dict[str, Any]) -> Iterator[Field]:
    for path, operations in described["paths"].items():
        for lower, operation in operations.items():
            method = lower.upper()
            for each in operation["parameters"]:
                if each["in"] == "query":
                    kind, honour = words(each["schema"]), each["schema"][HONOUR]
                    yield method, path, each["name"], kind, honour
            if body := operation.get("requestBody"):
                schema = body["content"]["application/json"]["schema"]
                for name, field in fields_of(schema):
                    yield method, path, name, words(field), field[HONOUR]


def fields_of(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for each in schema.get("anyOf", [schema]):
        if "items" in each:
            yield from fields_of(each["items"], f"{path}[]")
        for name, field in each.get("properties", {}).items():
            full = f"{path}.{name}" if path else name
            if HONOUR in field:  # else it only leads to one
                yield full, field
            yield from fields_of(field, full)


def test_the_page_and_the_document_tell_the_same():
    page, described = set(told_by_the_page()), set(told_by_the_document(document()))

    assert len(page) > 500
    assert page - described == set()
    assert described - page == set()


def test_every_route_is_described_and_no_other():
    app = create_app(RecordedEngines(), FakeStore(), host=HOST)
    app.close()
    served = set[tuple[str, str]]()
    for rule in app.url_map.iter_rules():
        methods = set(rule.methods or ()) - {"OPTIONS"}
        if not rule.websocket:
            hidden = {"HEAD"} if "GET" in methods else set[str]()
            path = re.sub(r"<[^>]*>", "{}", rule.rule)
            served |= {(method, path) for method in methods - hidden}

    described = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in document()["paths"].items()
        for method in operations
    }

    assert described == served


@pytest.mark.parametrize("path", [each.path for each in ROUTES if each.rows])
def test_a_body_that_is_lawful_is_one_by_the_schema(path: str):
    [operation] = [each for each in document()["paths"][path].values() if "requestBody" in each]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(BODIES[path])


def test_every_family_has_its_errors_and_no_reference_leads_nowhere():
    described = document()
    errors = described["components"]["responses"]

    used = {
        operation["responses"]["default"]["$ref"].rpartition("/")[2]
        for operations in described["paths"].values()
        for operation in operations.values()
    }

    assert used == set(errors)


def test_what_is_open_without_a_key_says_so():
    paths = document()["paths"]

    assert paths["/health"]["get"]["security"] == []
    assert "security" not in paths["/v1/models"]["get"]
    assert document()["security"] == [{}, {"bearer": []}, {"x-api-key": []}]


def test_rows_become_one_nested_schema():
    schema = body_schema(
        [
            Row("a", {"anyOf": [TEXT, {"type": "array", "items": OBJECT}]}, required=True),
            Row("a[].b", TEXT, required=True),
            Row("c.d", TEXT, note="a note"),
        ]
    )

    honour = {HONOUR: "supported"}
    item = {"type": "object", "properties": {"b": TEXT | honour}, "required": ["b"]}
    assert schema == {
        "type": "object",
        "properties": {
            "a": {"anyOf": [TEXT, {"type": "array", "items": item}], **honour},
            "c": {
                "type": "object",
                "properties": {"d": {**TEXT, **honour, "description": "a note"}},
            },
        },
        "required": ["a"],
    }
    assert OBJECT == {"type": "object"}  # which many rows share


def test_a_row_that_is_in_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="'a' cannot be object"):
        body_schema([Row("a", TEXT), Row("a.b", TEXT)])


class TestPage:
    def test_both_are_served(self, serve):
        serving = serve()

        described = serving.ask("GET", "/openapi.json")
        page = serving.ask("GET", "/docs")

        assert described.json["openapi"].startswith("3.1")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]

    def test_the_page_names_no_address_of_the_web(self, serve):
        page = serve().ask("GET", "/docs").body.decode()

        assert not re.search(r"https?:|//\w+\.|src=|@import|url\(", page)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_row_fits_into_a_table(family):
    for route in family.routes:
        for row in (*route.rows, *route.query):
            assert not set("|\n") & set(row.name + row.note + words(row.schema)), row
