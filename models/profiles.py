"""What a model's profile leaves to whom: a request first, then the profile, then the model's own.

Context length, KV type, adapters and drafts count when the model is loaded (``models.planner``),
and a model that was loaded with others is loaded anew; keep-alive counts while it is
(``models.engine.loaded``); what a request leaves open about sampling is filled in here.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeVar

from models import chat
from models.chat import GenerateRequest, Message, SamplingParams, Text
from models.go_jinja import to_jinja
from models.model import Profile
from models.sampling_ranges import RANGES, from_numbers

_Asked = TypeVar("_Asked")
_NOTHING = Profile()


def filled(requests: Sequence[_Asked], profile: Profile) -> Sequence[_Asked]:
    """Return the requests with what the profile has where they leave it open.

    Raises:
        InvalidRequest: its template is none.
    """
    if profile == _NOTHING:
        return requests
    return [
        _filled(each, profile) if isinstance(each, GenerateRequest) else each for each in requests
    ]


def _filled(asked: GenerateRequest, profile: Profile) -> GenerateRequest:
    usual = from_numbers({name: profile.sampling.get(name) for name in RANGES})
    template = asked.template
    if template is None and profile.template is not None:
        template = to_jinja(profile.template)
    return replace(
        asked,
        prompt=asked.prompt if isinstance(asked.prompt, str) else _begun(asked, profile),
        template=template,
        sampling=_over(usual, asked.sampling),
        max_tokens=asked.max_tokens or profile.max_tokens,
        stop=asked.stop or profile.stop,
    )


def _begun(asked: GenerateRequest, profile: Profile) -> tuple[Message, ...]:
    """Put the profile's system text and messages before what is asked.

    A system text that comes with the request stands in for the profile's, and at the front too:
    most templates know no other place for it. An earlier turn that is given as token ids has
    the messages in it already.
    """
    assert not isinstance(asked.prompt, str)
    before = tuple(Message(each.role, (Text(each.text),)) for each in profile.messages)
    if asked.preceding_tokens:
        before = ()
    if asked.prompt and asked.prompt[0].role == "system":
        return (asked.prompt[0], *before, *asked.prompt[1:])
    own = (chat.system(profile.system),) if profile.system else ()
    return (*own, *before, *asked.prompt)


def _over(usual: SamplingParams, asked: SamplingParams) -> SamplingParams:
    names = (each.name for each in fields(SamplingParams))
    open_ones = {name: getattr(usual, name) for name in names if getattr(asked, name) is None}
    return replace(asked, **open_ones)
