"""Responses and conversations of the API, on a real file."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.records import conversations, responses
from models.records.records import Records
from models.records.responses import KeptResponse, NotThere


@pytest.fixture
def records(inglenook_home: Path) -> Iterator[Records]:
    records = Records(inglenook_home)
    yield records
    records.close()


def item(id: str, text: str = "") -> dict[str, Any]:
    return {"id": id, "type": "message", "content": text}


def response(id: str, previous: str | None = None, **more: Any) -> KeptResponse:
    body = {"id": id, "status": "completed", "output": [item(f"out_{id}")]}
    return KeptResponse(body=body, input=[item(f"in_{id}")], previous=previous, **more)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in items]


def test_a_response_is_kept_as_it_is(records: Records):
    kept = response("a", events=[{"type": "response.created"}])

    records.responses.put(kept).result()

    assert records.responses.get("a").result() == kept
    assert records.responses.get("b").result() is None


def test_a_response_that_is_put_again_is_the_later_one(records: Records):
    records.responses.put(response("a", running=True))
    records.responses.put(response("a"))

    kept = records.responses.get("a").result()
    assert kept and not kept.running
    assert ids(records.responses.conversation("a").result()) == ["in_a", "out_a"]


def test_a_chain_is_read_from_its_beginning(records: Records):
    for id, previous in (("a", None), ("b", "a"), ("other", "a"), ("c", "b")):
        records.responses.put(response(id, previous))

    said = records.responses.conversation("c").result()

    assert ids(said) == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]


def test_a_chain_that_has_lost_a_link_says_which(records: Records):
    for id, previous in (("a", None), ("b", "a"), ("c", "b")):
        records.responses.put(response(id, previous))

    assert records.responses.delete("a").result()
    assert not records.responses.delete("a").result()

    with pytest.raises(NotThere) as caught:
        records.responses.conversation("c").result()
    assert caught.value.id == "a"


def test_an_item_is_found_by_its_id(records: Records):
    records.responses.put(response("a"))
    records.conversations.begin({}, [item("kept")]).result()

    found = records.responses.items(["out_a", "kept", "nothere"]).result()

    assert found == {"out_a": item("out_a"), "kept": item("kept")}


def test_the_responses_that_were_used_longest_ago_go_first(
    records: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(responses, "MOST_RESPONSES", 2)
    for id in "ab":
        records.responses.put(response(id))
    records.responses.conversation("a").result()  # it is gone on from

    records.responses.put(response("c"))

    assert records.responses.get("b").result() is None
    assert records.responses.get("a").result()
    assert records.responses.items(["in_b"]).result() == {}


def test_responses_are_kept_within_so_many_bytes(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(responses, "MOST_BYTES", 5000)
    for id in "abc":
        long = {"id": id, "output": [item(id, "x" * 2000)]}
        records.responses.put(KeptResponse(body=long, input=[]))

    kept = [id for id in "abc" if records.responses.get(id).result()]
    assert kept == ["b", "c"]


def test_a_response_that_nobody_used_for_long_goes(records: Records, inglenook_home: Path):
    records.responses.put(response("a")).result()
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        db.execute("UPDATE responses SET used_at = used_at - 31 * 86400")
    db.close()

    records.responses.put(response("b"))

    assert records.responses.get("a").result() is None


def test_what_a_program_leaves_running_has_failed_at_the_next_start(inglenook_home: Path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    living = subprocess.Popen(["sleep", "60"])
    records = Records(inglenook_home)
    for id in "abc":
        records.responses.put(response(id, running=True))
    records.close()
    runners = {"a": ended.pid, "b": living.pid, "c": os.getpid()}
    with sqlite3.connect(inglenook_home / "chats.db") as db:
        for id, runner in runners.items():
            db.execute("UPDATE responses SET runner = ? WHERE id = ?", (runner, id))
    db.close()

    records = Records(inglenook_home)
    found = [records.responses.get(id).result() for id in "abc"]
    records.close()
    living.kill()
    living.wait()

    assert [kept and kept.body["status"] for kept in found] == ["failed", "completed", "failed"]
    assert found[0] and found[0].body["error"]["code"] == "server_error"
    assert [kept and kept.running for kept in found] == [False, True, False]


class TestConversations:
    def test_a_conversation_is_what_was_said_in_its_order(self, records: Records):
        made = records.conversations.begin({"a": "b"}, [item("one")]).result()
        records.conversations.add(made.id, [item("two"), item("three")])

        assert records.conversations.get(made.id).result() == made
        assert ids(records.conversations.items(made.id).result() or []) == ["one", "two", "three"]

    def test_its_metadata_can_be_changed(self, records: Records):
        made = records.conversations.begin({"a": "b"}, []).result()

        records.conversations.change(made.id, {"c": "d"})

        kept = records.conversations.get(made.id).result()
        assert kept and kept.metadata == {"c": "d"}
        assert kept.created_at == made.created_at

    def test_an_item_can_be_deleted_from_its_own_conversation_alone(self, records: Records):
        one = records.conversations.begin({}, [item("one")]).result()
        two = records.conversations.begin({}, []).result()

        assert not records.conversations.delete_item(two.id, "one").result()
        assert records.conversations.delete_item(one.id, "one").result()
        assert records.conversations.items(one.id).result() == []

    def test_a_conversation_that_is_deleted_is_gone_with_its_items(self, records: Records):
        made = records.conversations.begin({}, [item("one")]).result()

        assert records.conversations.delete(made.id).result()

        assert records.conversations.get(made.id).result() is None
        assert records.conversations.items(made.id).result() is None
        assert records.responses.items(["one"]).result() == {}
        records.conversations.add(made.id, [item("two")]).result()

    def test_of_too_many_the_one_used_longest_ago_goes(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(conversations, "MOST_CONVERSATIONS", 2)
        made = [records.conversations.begin({}, []).result() for _ in range(2)]
        records.conversations.add(made[0].id, [item("one")])

        records.conversations.begin({}, [])

        assert records.conversations.get(made[1].id).result() is None
        assert records.conversations.get(made[0].id).result()
