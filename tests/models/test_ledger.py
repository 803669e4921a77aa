"""Memory is promised once, and given back to whoever has waited longest."""

import threading

import pytest

from models.errors import OutOfMemory
from models.ledger import RESERVE_BYTES, Ledger, Need, Reservation

MIB = 1 << 20


def need(mib: int, *, mapped: bool = False) -> Need:
    return Need(weights_bytes=mib * MIB, cache_bytes=0, working_bytes=0, mapped=mapped)


class Machine:
    """A computer with free memory above the reserve, and models that take it."""

    def __init__(self, free_mib: int) -> None:
        self.free_bytes = RESERVE_BYTES + free_mib * MIB
        self.total_bytes = self.free_bytes
        self.ledger = Ledger(lambda: self.free_bytes, lambda: self.total_bytes)
        self.woken: list[str] = []

    def ask(self, who: str, mib: int, *, mapped: bool = False) -> Reservation | None:
        wanted = need(mib, mapped=mapped)
        return self.ledger.reserve(
            f"Model '{who}'",
            who,
            lambda: self.woken.append(who),
            least=wanted,
            choose=lambda _: wanted,
        )

    def granted(self, who: str, mib: int, *, mapped: bool = False) -> Reservation:
        reservation = self.ask(who, mib, mapped=mapped)
        assert reservation is not None
        return reservation


def test_what_is_loading_is_promised_although_the_computer_still_calls_it_free() -> None:
    machine = Machine(1000)

    machine.granted("first", 600)

    assert machine.ledger.spare_bytes() == 400 * MIB
    assert machine.ask("second", 600) is None


def test_what_is_loaded_is_counted_once() -> None:
    machine = Machine(1000)
    reservation = machine.granted("first", 600)

    machine.free_bytes -= 600 * MIB
    machine.ledger.took(reservation)

    assert machine.ledger.spare_bytes() == 400 * MIB


def test_mapped_weights_stay_promised_though_the_system_calls_them_available() -> None:
    machine = Machine(1000)
    reservation = machine.granted("first", 600, mapped=True)

    machine.ledger.took(reservation)  # the free memory has not changed

    assert machine.ledger.spare_bytes() == 400 * MIB


def test_two_that_ask_at_once_are_not_both_given_what_one_can_have() -> None:
    machine = Machine(1000)
    granted: list[Reservation | None] = []
    together = threading.Barrier(8)

    def ask(number: int) -> None:
        together.wait()
        granted.append(machine.ask(str(number), 600))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(each is not None for each in granted) == 1


def test_the_oldest_is_woken_and_nobody_overtakes_it() -> None:
    machine = Machine(1000)
    reservation = machine.granted("first", 900)
    assert machine.ask("old", 800) is None
    assert machine.ask("young", 50) is None, "it would fit, but the older waits already"

    machine.ledger.release(reservation)

    assert machine.woken == ["old"]
    assert machine.ask("young", 50) is None
    machine.granted("old", 800)
    machine.granted("young", 50)


def test_who_gives_up_makes_way_for_the_next() -> None:
    machine = Machine(1000)
    machine.granted("first", 900)
    machine.ask("old", 800)
    machine.ask("young", 50)

    machine.ledger.give_up("old")
    machine.ledger.give_up("nobody")  # harmless

    assert machine.woken == ["young"]
    machine.granted("young", 50)


def test_what_can_never_fit_is_refused_and_leaves_the_queue() -> None:
    machine = Machine(1000)
    machine.granted("first", 500)

    with pytest.raises(OutOfMemory, match=r"Model 'huge' needs 2\.0 GiB .* 1\.0 GiB can be had"):
        machine.ask("huge", 2048)

    machine.granted("small", 400)


def test_the_choice_is_made_with_what_can_be_had_then() -> None:
    machine = Machine(1000)
    offered: list[int] = []

    def choose(spare_bytes: int) -> Need:
        offered.append(spare_bytes)
        return need(700)

    machine.ledger.reserve("it", "it", lambda: None, least=need(100), choose=choose)

    assert offered == [1000 * MIB]
    assert [each.need for each in machine.ledger.promised()] == [need(700)]


def test_giving_back_twice_is_harmless() -> None:
    machine = Machine(1000)
    reservation = machine.granted("first", 600)

    machine.ledger.release(reservation)
    machine.ledger.release(reservation)

    assert machine.ledger.spare_bytes() == 1000 * MIB
