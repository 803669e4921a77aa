"""``ingle set``: how a model is used here, by the window, the API and the command alike."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from app.commands import CommandFailed, text
from app.commands.library import open_store
from app.setting_kinds import OneOf, Seconds, Tokens, ValueKind
from models import abilities, adapters, drafts
from models.errors import LoadFailed, NotAble
from models.model import Adapter, KvType, Model, Profile
from models.sampling_ranges import RANGES, within
from models.store import Store

_KINDS: Mapping[str, ValueKind[Any]] = {
    "context_length": Tokens(),
    "kv_type": OneOf(*KvType),
    "keep_alive": Seconds(),
}
_ENDLESS = 1e12  # of a range: nobody needs to be told its end
_KEYS = (*_KINDS, "adapters", "drafts", *RANGES)


def change(name: str, assignments: Sequence[str]) -> int:
    """Each is ``key=value``; without a value it is as the model itself has it."""
    store = open_store()
    model = store.find(name)
    profile = model.profile
    for each in assignments:
        key, given, typed = each.partition("=")
        if key not in _KEYS or not given:
            raise CommandFailed(f"{each!r} is not KEY=VALUE with one of: {', '.join(_KEYS)}.")
        if key == "drafts":
            profile = replace(profile, drafts=_checked_drafts(store, model, typed.strip()))
        else:
            profile = _changed(model, profile, key, typed.strip())
    changed = store.set_profile(name, profile)
    print(f"{changed.name}: {text.profile(profile) or 'as the model itself has it'}.")
    if profile.at_load != model.profile.at_load:
        print("Where the model is loaded, its next request loads it anew.")
    return 0


def _changed(model: Model, profile: Profile, key: str, typed: str) -> Profile:
    """Raises CommandFailed where the value will not do."""
    if key in RANGES:
        rest = {name: value for name, value in profile.sampling.items() if name != key}
        return replace(profile, sampling=rest | _number(key, typed))
    if key == "adapters":
        return replace(profile, adapters=_checked_adapters(model, typed))
    try:
        value = _KINDS[key].parse(typed) if typed else None
    except ValueError as error:
        raise CommandFailed(f"{key}: {error}") from None
    match key:
        case "context_length":
            return replace(profile, context_length=_checked_context(model, value))
        case "keep_alive":
            return replace(profile, keep_alive_seconds=value)
        case _:
            changed = replace(profile, kv_type=value or KvType.F16)
            _check_kv_type(replace(model, profile=changed))
            return changed


def _number(key: str, typed: str) -> dict[str, float]:
    if not typed:
        return {}
    least, most, whole = RANGES[key]
    with suppress(ValueError):
        value = int(typed) if whole else float(typed)
        if within(key, value):
            return {key: value}
    kind = "a whole number" if whole else "a number"
    span = f" from {least:g}" + ("" if most > _ENDLESS else f" to {most:,.10g}")
    raise CommandFailed(f"{key}: This is {kind}{span if least > -_ENDLESS else ''}.")


def _checked_context(model: Model, tokens: int | None) -> int | None:
    trained = model.details.context_length
    if tokens and trained and tokens > trained:
        raise CommandFailed(
            f"context_length: '{model.name}' was trained to read {trained:,} tokens and no more."
        )
    return tokens


def _checked_adapters(model: Model, typed: str) -> tuple[Adapter, ...]:
    try:
        found = adapters.parse(typed)
        adapters.check(model, found)
    except ValueError:
        raise CommandFailed(
            "adapters: This is PATH, or PATH@SCALE with a number, and further ones behind commas."
        ) from None
    except LoadFailed as error:
        raise CommandFailed(f"adapters: {error}") from None
    return found


def _checked_drafts(store: Store, model: Model, typed: str) -> str:
    if not typed:
        return ""
    try:
        found = drafts.named(typed, model, store.find)
        drafts.check(model, found)
    except LoadFailed as error:
        raise CommandFailed(f"drafts: {error}") from None
    return str(found.name if isinstance(found, Model) else found)


def _check_kv_type(model: Model) -> None:
    try:
        abilities.check_profile(model)
    except NotAble:
        raise CommandFailed(
            f"kv_type: MLX keeps its KV cache in 16 bits, so '{model.name}' can have no other."
        ) from None
