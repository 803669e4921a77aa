from app.chat.heights import Heights


def heights_of(*values: int) -> Heights:
    heights = Heights()
    for value in values:
        heights.append(value)
    return heights


def test_rows_lie_one_under_the_other() -> None:
    heights = heights_of(10, 20, 30)

    assert [heights.top(row) for row in range(3)] == [0, 10, 30]
    assert heights.total == 60


def test_a_row_is_found_by_where_it_lies() -> None:
    heights = heights_of(10, 20, 30)

    assert [heights.row_at(y) for y in (-5, 0, 9, 10, 29, 30, 59, 99)] == [0, 0, 0, 1, 1, 2, 2, 2]


def test_a_window_onto_the_rows_has_those_it_touches() -> None:
    heights = heights_of(10, 20, 30)

    assert list(heights.between(9, 10)) == [0, 1]
    assert list(heights.between(-100, 5)) == [0]
    assert list(heights.between(40, 400)) == [2]
    assert list(Heights().between(0, 100)) == []


def test_a_row_that_was_measured_moves_those_below() -> None:
    heights = heights_of(10, 20, 30)

    heights.set(0, 50)
    assert heights.top(1) == 50

    heights.cut(1)
    assert (len(heights), heights.total) == (1, 50)
