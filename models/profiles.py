"""What a model's profile leaves to whom: a request first, then the profile, then the model's own.

Context length, KV type, adapters and drafts count when the model is loaded (``models.planner``),
and a model that was loaded with others is loaded anew; keep-alive counts while it is
(``models.engine.loaded``); what a request leaves open about sampling is filled in here.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeVar

from models.chat import GenerateRequest, SamplingParams
from models.model import Profile
from models.sampling_ranges import RANGES, from_numbers

_Asked = TypeVar("_Asked")


def filled(requests: Sequence[_Asked], profile: Profile) -> Sequence[_Asked]:
    """Return the requests with the profile's sampling where they leave it open."""
    if not profile.sampling:
        return requests
    usual = from_numbers({name: profile.sampling.get(name) for name in RANGES})
    return [
        replace(each, sampling=_over(usual, each.sampling))
        if isinstance(each, GenerateRequest)
        else each
        for each in requests
    ]


def _over(usual: SamplingParams, asked: SamplingParams) -> SamplingParams:
    names = (each.name for each in fields(SamplingParams))
    open_ones = {name: getattr(usual, name) for name in names if getattr(asked, name) is None}
    return replace(asked, **open_ones)
