"""OpenAI's API but for its responses: https://platform.openai.com/docs/api-reference"""

from quart import Blueprint

from server.formats.openai import chat, completions, embeddings, models
from server.shelf import Shelf
from server.streams import Streams


def routes(streams: Streams, shelf: Shelf) -> Blueprint:
    blueprint = Blueprint("openai", __name__)
    chat.add_routes(blueprint, streams)
    completions.add_routes(blueprint, streams)
    embeddings.add_routes(blueprint, streams)
    models.add_routes(blueprint, streams.engines, shelf)
    return blueprint
