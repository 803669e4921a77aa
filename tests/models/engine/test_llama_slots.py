"""Who may run in a llama.cpp child: by slots, and by the cells of a KV cache that all share."""

from dataclasses import replace

from models.engine.llama_slots import Slots, Turn

CELLS = 1000


def turn(
    order: int,
    prompt: int = 100,
    most: int = 100,
    *,
    of: int = 1,
    urgent: bool = False,
    ahead: int | None = None,
) -> Turn:
    return Turn(
        tickets=tuple(range(order * 10, order * 10 + of)),
        prompt_tokens=prompt,
        most_tokens=most,
        order=order,
        urgent=urgent,
        goes_on=ahead is None,
        ahead_tokens=ahead,
    )


def start_all(slots: Slots) -> list[Turn]:
    started: list[Turn] = []
    while found := slots.start_next():
        started.append(found)
    return started


def orders(turns: list[Turn]) -> list[int]:
    return [each.order for each in turns]


def test_as_many_start_as_there_are_slots():
    slots = Slots(2, None)
    for order in range(3):
        slots.wait(turn(order, 10_000))

    first, second = start_all(slots)
    slots.end(first)

    assert orders([first, second]) == [0, 1]
    assert orders(start_all(slots)) == [2]


def test_no_more_start_than_have_room_for_all_they_may_write():
    slots = Slots(8, CELLS)
    for order in range(4):
        slots.wait(turn(order, 200, 200))

    running = start_all(slots)

    assert orders(running) == [0, 1]
    assert slots.waiting == 2


def test_nobody_overtakes_one_that_waits_for_room():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 400, 200))
    slots.wait(turn(1, 400, 200))
    slots.wait(turn(2, 10, 10))

    assert orders(start_all(slots)) == [0]


def test_what_a_person_watches_starts_first_and_what_goes_on_before_what_is_new():
    slots = Slots(1, None)
    slots.wait(turn(5))
    slots.wait(turn(3))
    slots.wait(turn(9, urgent=True))

    started: list[Turn] = []
    while found := slots.start_next():
        started.append(found)
        slots.end(found)

    assert orders(started) == [9, 3, 5]


def test_a_sequence_of_a_whole_context_runs_alone():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 900, 100))
    slots.wait(turn(1, 10, 10))

    (alone,) = start_all(slots)
    slots.end(alone)

    assert alone.order == 0
    assert orders(start_all(slots)) == [1]


def test_what_a_slot_may_still_hold_counts_until_its_new_prompt_is_read():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 500, 100))
    (ended,) = start_all(slots)
    slots.end(ended)
    slots.wait(turn(1, 10, 10))  # it may be given the slot with 600
    slots.wait(turn(2, 400, 100))

    (first,) = start_all(slots)
    slots.has_read(first)

    assert orders(start_all(slots)) == [2]


def test_a_group_counts_its_prompt_once():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 700, 100, of=3))

    (group,) = start_all(slots)

    assert len(group.tickets) == 3


def test_a_group_without_room_is_parted_once_nothing_else_runs():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 100, 100))
    slots.wait(turn(1, 300, 200, of=4))

    (other,) = start_all(slots)
    slots.end(other)
    (part,) = start_all(slots)
    assert part.tickets == (10, 11)
    slots.end(part)
    (single,) = start_all(slots)  # with what the others left there is room for one
    slots.end(single)

    assert [each.tickets for each in start_all(slots)] == [(13,)]


def test_a_group_larger_than_the_slots_is_parted_at_once():
    slots = Slots(2, None)
    slots.wait(turn(0, of=5))

    parts: list[int] = []
    while found := slots.start_next():
        parts.append(len(found.tickets))
        slots.end(found)

    assert parts == [2, 2, 1]


def test_one_of_a_group_can_be_forgotten_while_it_waits():
    slots = Slots(4, None)
    slots.wait(turn(0, of=3))

    assert slots.forget(1)
    assert not slots.forget(1)

    assert [each.tickets for each in start_all(slots)] == [(0, 2)]
    assert not slots.forget(0), "it runs"


def test_one_that_may_ask_beside_has_a_slot_and_the_cells_for_it():
    slots = Slots(3, CELLS)
    for order in range(2):
        slots.wait(replace(turn(order, 100, 100), asks_beside=True))

    (first,) = start_all(slots)
    slots.wait(turn(2))

    assert first.asks_beside
    assert orders(start_all(slots)) == [], "one slot is left, and the next wants two"
    slots.end(first)
    assert orders(start_all(slots)) == [1, 2]


def test_one_that_has_all_cells_asks_nothing_beside():
    slots = Slots(3, CELLS)
    slots.wait(replace(turn(0, 300, 400), asks_beside=True))

    (alone,) = start_all(slots)

    assert not alone.asks_beside


def test_one_that_cannot_be_stopped_leaves_room_to_those_that_can_until_it_needs_it():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 100, 900, ahead=100))
    slots.wait(turn(1, 200, 200))
    slots.wait(turn(2, 200, 200))
    lasting, older, younger = start_all(slots)

    assert list(slots.wrote(lasting, 49)) == [], "half of its room is left"
    assert list(slots.wrote(lasting, 50)) == [younger]
    assert list(slots.wrote(lasting, 100)) == [], "one is on its way out"
    slots.end(younger)
    assert list(slots.wrote(lasting, 150)) == []
    assert list(slots.wrote(lasting, 450)) == [older]


def test_two_that_cannot_be_stopped_run_together_only_with_room_for_all_they_may_write():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 100, 500, ahead=100))
    slots.wait(turn(1, 100, 301, ahead=100))

    (alone,) = start_all(slots)
    slots.end(alone)

    assert alone.order == 0
    assert orders(start_all(slots)) == [1]


def test_who_was_stopped_comes_before_those_who_came_later():
    slots = Slots(8, CELLS)
    slots.wait(turn(0, 100, 900, ahead=400))
    slots.wait(turn(1, 200, 200))
    lasting, other = start_all(slots)
    slots.wait(turn(2, 200, 200))

    assert list(slots.wrote(lasting, 300)) == [other]
    slots.end(other)
    slots.wait(turn(1, 250, 200))
    assert start_all(slots) == [], "it would be in the way again"
    slots.end(lasting)
    assert orders(start_all(slots)) == [1]


def an_embedding(order: int) -> Turn:
    return replace(turn(order, 50, 0), places=range(1))


def test_those_that_write_give_way_to_a_text_to_embed_and_nobody_starts_until_it_is_done():
    slots = Slots(8, None)
    for each in (turn(0), turn(1), an_embedding(2)):
        slots.wait(each)
    first, second, embedding = start_all(slots)

    assert not slots.gives_way(first, 31)
    assert slots.gives_way(first, 32)
    assert not slots.gives_way(first, 33), "it has been stopped"
    slots.end(first)
    slots.wait(first)
    assert start_all(slots) == []
    assert slots.gives_way(second, 32)
    slots.end(embedding)
    slots.wait(an_embedding(3))
    assert orders(start_all(slots)) == [0, 3]


def test_nobody_gives_way_where_nothing_is_embedded_or_one_cannot():
    slots = Slots(8, None)
    slots.wait(turn(0))
    (alone,) = start_all(slots)
    assert not slots.gives_way(alone, 1000)

    for each in (turn(1, ahead=100), an_embedding(2)):
        slots.wait(each)
    bound, _ = start_all(slots)

    assert not slots.gives_way(alone, 1000)
    assert not slots.gives_way(bound, 1000)
    slots.end(bound)
    assert slots.gives_way(alone, 1000)


def test_what_would_have_to_be_read_again_does_not_give_way():
    slots = Slots(8, None, goes_back=False)
    for each in (turn(0), an_embedding(1)):
        slots.wait(each)
    writing, _ = start_all(slots)

    assert not slots.gives_way(writing, 1000)
