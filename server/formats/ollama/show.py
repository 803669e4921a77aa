"""Ollama's show: everything that is known of one model."""

import asyncio
from dataclasses import replace

from quart import Blueprint, Response, request

from models import modelfile, parameters
from models.anatomy import Anatomy
from models.errors import InvalidRequest, ModelNotFound
from models.model import Model, Profile
from models.names import ModelName
from server.body import read_json
from server.capabilities import capabilities
from server.clock import rfc3339
from server.contract import settle
from server.fields import Fields, Json
from server.formats.ollama.contract import SHOW
from server.formats.ollama.facts import details_of
from server.formats.ollama.fields import read_name
from server.framing import NATIVE_JSON, reply
from server.ignored import ignored_headers
from server.shelf import Shelf

_COPILOT = "GitHubCopilotChat/"  # which calls models by their basename


def show_body(model: Model, *, verbose: bool = False) -> Json:
    """Raises LoadFailed."""
    found = Anatomy(model)
    profile = model.profile
    projector = found.projector_keys(whole=verbose)
    messages = [{"role": each.role, "content": each.text} for each in profile.messages]
    optional = {
        "license": "\n".join(profile.license),
        "parameters": parameters_text(profile),
        "system": profile.system,
        "messages": messages,
        "projector_info": projector,
    }
    return {
        "modelfile": modelfile.written(model),
        "template": found.template() or "",
        "details": details_of(model),
        "model_info": found.keys(whole=verbose),
        **{key: each for key, each in optional.items() if each},
        "tensors": [
            {"name": each.name, "type": each.type_name, "shape": list(each.shape)}
            for each in found.tensors()
        ],
        "capabilities": capabilities(model),
        "modified_at": rfc3339(model.modified_at),
    }


def parameters_text(profile: Profile) -> str:
    """Write what is set for a model as Ollama does (server/images.go): texts in quotes."""
    return "\n".join(
        f'{name:<30} "{value}"' if isinstance(value, str) else f"{name:<30} {value:.10g}"
        for name, value in parameters.of(profile)
    )


def add_route(blueprint: Blueprint, shelf: Shelf) -> None:
    @blueprint.post("/api/show")
    async def show() -> Response:
        fields = Fields(await read_json(request))
        name = read_name(fields)
        if not name:
            raise InvalidRequest("model is required")
        verbose = bool(fields.flag("verbose"))
        system, template = fields.text("system"), fields.text("template")
        options = fields.inner("options")
        asked = options.raw() if options else {}
        headers = ignored_headers(settle(fields, SHOW), request.headers)
        try:
            model = await shelf.find(name)
        except ModelNotFound:
            # On this path, and in /v1/models, Ollama says the name in full.
            raise ModelNotFound(str(ModelName.parse(name))) from None
        profile, _ = parameters.apply(model.profile, asked)
        profile = replace(
            profile,
            system=system or profile.system,
            template=template or profile.template,
        )
        model = replace(model, profile=profile)
        body = await asyncio.to_thread(show_body, model, verbose=verbose)
        if request.headers.get("User-Agent", "").startswith(_COPILOT):
            body["model_info"]["general.basename"] = name
        return reply(body, NATIVE_JSON, headers=headers)
