"""Which rows go through a model together."""

from models.engine.mlx_rows import Rows


def rows_of(**lengths: list[int]) -> tuple[Rows, dict[int, str]]:
    rows, names = Rows(), dict(enumerate(lengths))
    for ticket, name in names.items():
        rows.add(ticket, [(7,) * length for length in lengths[name]])
    return rows, names


def taken(rows: Rows, names: dict[int, str], most_tokens: int) -> list[str]:
    return [f"{names[row.ticket]}{len(row.tokens)}" for row in rows.next(most_tokens)]


def test_rows_of_like_length_go_together_and_never_too_many_tokens_of_them():
    rows, names = rows_of(a=[3, 100, 4, 90, 5])

    assert taken(rows, names, 200) == ["a90", "a100"]
    assert taken(rows, names, 10) == ["a4", "a5"]
    assert taken(rows, names, 10) == ["a3"]
    assert not rows


def test_a_row_that_is_too_long_goes_alone():
    rows, names = rows_of(a=[100, 99])

    assert taken(rows, names, 10) == ["a100"]
    assert taken(rows, names, 10) == ["a99"]


def test_a_small_request_is_not_behind_a_thousand_rows():
    rows, names = rows_of(many=[50] * 1000, one=[10])

    first, second = taken(rows, names, 100), taken(rows, names, 100)

    assert first == ["many50", "many50"]
    assert second == ["one10"]


def test_rows_of_several_requests_share_a_step():
    rows, names = rows_of(a=[10], b=[9], c=[8])

    assert taken(rows, names, 100) == ["a10", "b9", "c8"]


def test_each_row_comes_once_and_what_is_removed_never():
    rows, _ = rows_of(a=[5, 1, 9, 9, 2, 30], b=[7] * 20, c=[1, 2])
    rows.remove(2)
    rows.remove(99)

    found: list[tuple[int, int]] = []
    while rows:
        found += [(row.ticket, row.place) for row in rows.next(20)]

    assert sorted(found) == [*((0, place) for place in range(6)), *((1, p) for p in range(20))]
