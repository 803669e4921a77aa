"""What a request needs of a model, and what a model can do on its engine: compared once.

A parser reads the whole grammar of its wire and refuses nothing that a model might be able
to do; ``Residency.submit`` compares, and says ``NotAble``.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from models import mlx_families
from models.chat import (
    EmbedRequest,
    GenerateRequest,
    RerankRequest,
)
from models.errors import NotAble
from models.go_jinja import to_jinja
from models.model import Kind, KvType, Model
from models.pictures import has_images
from models.pooling import RANK
from models.template_signs import knows_thinking, knows_tools


class Ability(StrEnum):
    """The values that Ollama has a word for are that word (types/model/capability.go)."""

    COMPLETION = "completion"
    TOOLS = "tools"
    THINKING = "thinking"
    VISION = "vision"
    INSERT = "insert"  # fill-in-the-middle
    EMBEDDING = "embedding"
    RERANK = "rerank"
    GRAMMAR = "grammar"  # JSON, schemas, regular expressions: answers of a given form
    LOGPROBS = "logprobs"
    LOGIT_BIAS = "logit bias"
    TYPICAL_P = "typical_p"
    KV_TYPES = "a KV cache of fewer bits"


_BOTH = frozenset(
    {
        Ability.COMPLETION,
        Ability.EMBEDDING,
        Ability.GRAMMAR,
        Ability.INSERT,
        Ability.LOGIT_BIAS,
        Ability.LOGPROBS,
        Ability.RERANK,
        Ability.THINKING,
        Ability.TOOLS,
        Ability.TYPICAL_P,
    }
)
# What each engine can do by now, with a model that can.
ENGINES: Mapping[Kind, frozenset[Ability]] = {
    Kind.LLAMA: _BOTH | {Ability.KV_TYPES, Ability.VISION},
    Kind.MLX: _BOTH | {Ability.VISION},
}


def of(model: Model) -> frozenset[Ability]:
    """Return what a model can do here: what its files are made for, and its engine knows."""
    facts = model.details
    if facts.completes:
        tools, thinking = facts.tools, facts.thinking
        if model.profile.template is not None:  # in place of the one that was looked at
            template = to_jinja(model.profile.template)
            tools, thinking = knows_tools(template), knows_thinking(template)
        made_for = _made_for(tools, thinking, facts.vision, facts.insert)
    elif facts.pooling == RANK:
        made_for = frozenset({Ability.RERANK})
    else:
        made_for = frozenset({Ability.EMBEDDING, Ability.RERANK})
    abilities = made_for & ENGINES[model.kind]
    return abilities - {Ability.VISION} if _why_blind(model) else abilities


def _why_blind(model: Model) -> str:
    made_to_see = model.kind is Kind.MLX and model.details.vision
    return mlx_families.why_blind(model) if made_to_see else ""


def needed_by(request: GenerateRequest | EmbedRequest | RerankRequest) -> frozenset[Ability]:
    match request:
        case EmbedRequest():
            return frozenset({Ability.EMBEDDING})
        case RerankRequest():
            return frozenset({Ability.RERANK})
        case GenerateRequest():
            return _needed_to_generate(request)


def _needed_to_generate(request: GenerateRequest) -> frozenset[Ability]:
    wanted = {
        Ability.TOOLS: bool(request.tools) and request.tool_choice.mode != "none",
        Ability.THINKING: request.thinking not in (None, False),
        Ability.VISION: has_images(request),
        Ability.INSERT: bool(request.suffix or request.snippets),
        Ability.GRAMMAR: request.constraint is not None,
        Ability.LOGPROBS: request.top_logprobs is not None or request.prompt_logprobs,
        Ability.LOGIT_BIAS: bool(request.sampling.logit_bias),
        Ability.TYPICAL_P: request.sampling.typical_p not in (None, 1.0),
    }
    return frozenset({Ability.COMPLETION, *(each for each, needed in wanted.items() if needed)})


def check(request: GenerateRequest | EmbedRequest | RerankRequest, model: Model) -> None:
    """Raises NotAble where the request needs what the model cannot do."""
    lacking = needed_by(request) - of(model)
    if lacking:
        remedy = _why_blind(model) if Ability.VISION in lacking else ""
        raise NotAble(str(model.name), tuple(sorted(lacking)), remedy)


def check_profile(model: Model) -> None:
    """Raises NotAble where the model is wanted as its engine cannot have it."""
    if model.profile.kv_type is not KvType.F16 and Ability.KV_TYPES not in ENGINES[model.kind]:
        raise NotAble(str(model.name), (Ability.KV_TYPES,))


@cache  # a list of models asks for each of them
def _made_for(tools: bool, thinking: bool, vision: bool, insert: bool) -> frozenset[Ability]:
    made_for = {
        Ability.TOOLS: tools,
        Ability.THINKING: thinking,
        Ability.VISION: vision,
        Ability.INSERT: insert,
    }
    always = set(Ability) - set(made_for)
    return frozenset({*always, *(each for each, can in made_for.items() if can)})
