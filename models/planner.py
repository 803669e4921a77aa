"""How a model is loaded, and what memory is promised to it: what the lanes ask of the house."""

from collections.abc import Callable

from models import drafts, needs
from models.engine.backend import LoadSpec, key_of
from models.ledger import Ledger, Need, Reservation
from models.model import Model
from models.needs import Wish


class Planner:
    """A ``models.engine.roster.House``. Everything is quick, and for any thread.

    ``make_room`` is called when a model finds none: it has an idle one go. ``find`` finds the
    models that others draft with.
    """

    def __init__(
        self,
        ledger: Ledger,
        make_room: Callable[[], None],
        find: Callable[[str], Model],
        *,
        keep_alive_seconds: float,
        context_length: int | None,
    ) -> None:
        self._ledger = ledger
        self._make_room = make_room
        self._find = find
        self._keep_alive_seconds = keep_alive_seconds
        self._context_length = context_length
        self._reservations: dict[str, Reservation] = {}  # by LoadSpec.key; no lock: see below
        self._lost: dict[str, object] = {}  # by LoadSpec.key, the profile whose drafts have lost

    def configure(self, *, keep_alive_seconds: float, context_length: int | None) -> None:
        self._keep_alive_seconds = keep_alive_seconds
        self._context_length = context_length

    def keep_alive_seconds(self) -> float:
        return self._keep_alive_seconds

    def plan(
        self, waiter: object, look: Callable[[], None], model: Model, asked_context: int | None
    ) -> LoadSpec | None:
        usual = model.profile.context_length or self._context_length
        lost = self._lost.get(key_of(model)) == model.profile.at_load
        drafted = None if lost else drafts.of(model, self._find)
        wish = Wish(asked_context, usual, model.profile.kv_type, drafted)
        smallest = needs.least(model, wish)
        spec = smallest

        def choose(spare_bytes: int) -> Need:
            nonlocal spec
            spec = needs.roomiest(smallest, wish, spare_bytes)
            return spec.need

        what = f"Model '{model.name}' with a context of {smallest.context_length} tokens"
        reservation = self._ledger.reserve(what, waiter, look, least=smallest.need, choose=choose)
        if reservation is None:
            self._make_room()
            return None
        self._reservations[spec.key] = reservation  # one operation, as each of those below
        return spec

    def drafts_lost(self, spec: LoadSpec) -> None:
        # Until the program ends, or the profile changes: each new try would cost as much.
        self._lost[spec.key] = spec.model.profile.at_load

    def loaded(self, spec: LoadSpec) -> None:
        self._ledger.took(self._reservations[spec.key])

    def let_go(self, spec: LoadSpec) -> None:
        if reservation := self._reservations.pop(spec.key, None):
            self._ledger.release(reservation)

    def gave_up(self, waiter: object) -> None:
        self._ledger.give_up(waiter)
