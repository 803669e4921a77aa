"""Texts become rows of tokens that fit, or the sentence says why not."""

from dataclasses import replace

import pytest

from models.chat import EmbedRequest, Overflow, RerankRequest
from models.engine.inputs import InputReader, beginning
from models.errors import ContextOverflow, InvalidRequest
from tests.fakes import ByteTokenizer, a_model

DETAILS = a_model().details  # of eight dimensions
CUT = Overflow.TRUNCATE


def reader(context_length: int = 16, pooling: str = "mean") -> InputReader:

    details = replace(DETAILS, completes=False, pooling=pooling)
    return InputReader(ByteTokenizer(), details, context_length)


def rows(*inputs: str | tuple[int, ...], overflow: Overflow = Overflow.REFUSE) -> list[bytes]:
    request = EmbedRequest(model="m", inputs=inputs, overflow=overflow)
    return [bytes(row) for row in reader().embed(request).rows]


def test_a_text_has_the_models_tokens_round_it():
    assert rows("abc", "") == [b"\1abc\2", b"\1\2"]


def test_tokens_get_those_that_they_lack():
    inputs = [tuple(each) for each in (b"abc", b"\1abc", b"abc\2", b"\1abc\2", b"")]

    assert rows(*inputs) == [b"\1abc\2"] * 4 + [b"\1\2"]


def test_what_is_longer_than_the_context_is_refused_with_its_place():
    with pytest.raises(ContextOverflow, match="Input 2 has 22 tokens and the context holds 16"):
        rows("a", "b" * 20)
    with pytest.raises(ContextOverflow, match="The input has 22 tokens"):
        rows(tuple(b"b" * 20))


def test_or_cut_at_its_end_with_the_last_token_still_there():
    assert rows("abc" * 100, tuple(b"z" * 20), overflow=CUT) == [
        b"\1abcabcabcabcab\2",
        b"\1" + b"z" * 14 + b"\2",
    ]


def test_a_request_may_want_a_shorter_context_but_not_a_longer_one():
    for asked, kept in ((8, 8), (100, 16)):
        request = EmbedRequest(model="m", inputs=("a" * 99,), overflow=CUT, context_length=asked)
        (row,) = reader().embed(request).rows
        assert len(row) == kept


@pytest.mark.parametrize("token", [-1, 1 << 31, 1 << 40])
def test_a_number_that_is_no_token_is_refused(token: int):
    with pytest.raises(InvalidRequest, match="token numbers in input 1"):
        rows((5, token), "a")


@pytest.mark.parametrize("dimensions", [-1, 0, 9])
def test_dimensions_that_the_vectors_have_not_are_refused(dimensions: int):
    request = EmbedRequest(model="m", inputs=("a",), dimensions=dimensions)

    with pytest.raises(InvalidRequest, match=f"have 8 dimensions: .* with {dimensions}"):
        reader().embed(request)


def test_nothing_is_refused():
    with pytest.raises(InvalidRequest, match="no text to embed"):
        rows()
    with pytest.raises(InvalidRequest, match="no document to rank"):
        reader().rerank(RerankRequest(model="m", query="a", documents=()))


def test_a_query_comes_before_its_documents():
    work = reader().rerank(RerankRequest(model="m", query="q", documents=("a", "b")))

    assert [bytes(row) for row in work.rows] == [b"\1q\2", b"\1a\2", b"\1b\2"]
    assert not work.documents


def test_a_cross_encoder_reads_the_query_with_each_document():
    request = RerankRequest(model="m", query="q", documents=("a", "b"))

    work = reader(pooling="rank").rerank(request)

    assert [bytes(row) for row in work.rows] == [b"\1q\2a\2", b"\1q\2b\2"]
    assert (work.query, work.documents) == ("q", ("a", "b"))


def test_the_texts_that_a_cross_encoder_gets_are_cut_as_its_rows_are():
    request = RerankRequest(model="m", query="question", documents=("abcdefgh", "é" * 9))
    with pytest.raises(ContextOverflow, match=r"Document 1, with the query, has .* holds 16"):
        reader(pooling="rank").rerank(request)

    work = reader(pooling="rank").rerank(replace(request, overflow=CUT))

    assert work.documents == ("abcd", "éé")
    assert all(len(row) <= 16 for row in work.rows)


def test_a_query_that_leaves_no_room_is_refused_even_where_documents_may_be_cut():
    request = RerankRequest(model="m", query="q" * 20, documents=("a",), overflow=CUT)

    for pooling in ("mean", "rank"):
        with pytest.raises(ContextOverflow, match="The query has"):
            reader(pooling=pooling).rerank(request)


def test_of_a_long_text_little_more_than_what_is_kept_is_read():
    tokenizer = ByteTokenizer()

    assert bytes(beginning(tokenizer, "abc" * 1_000_000, 4)) == b"abca"
    assert sum(map(len, tokenizer.read)) < 2000
