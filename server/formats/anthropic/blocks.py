"""Blocks that are text or pictures: alone, in a document, or in what a tool has said."""

import re

from models.chat import Image, Text
from models.errors import InvalidRequest
from server.fields import Fields
from server.formats.anthropic.cache import CacheMarks
from server.formats.anthropic.words import word
from server.images import read_base64, read_image

_CONTENT = ("text", "image")  # in a document
# Claude Code puts a line in front of its system text that is another in each request
# (anthropics/claude-code#50085): it is for Anthropic's books, and nothing behind it would be
# found in a prompt cache. See docs/decisions/prompt-prefixes.md.
_BILLING = re.compile(r"\A\s*x-anthropic-billing-header:[^\n]*\n*", re.IGNORECASE)


def read_blocks(fields: Fields, field: str) -> list[Fields]:
    """Return what is in a list, or what a string stands for: one block of text."""
    value = fields.value(field)
    if value is None:
        raise fields.missing(field)
    if value == "":
        return []
    if isinstance(value, str):
        return [Fields({"type": "text", "text": value}, fields.name(field))]
    if not isinstance(value, list):
        raise fields.wrong(field, "a string or a list of blocks", value)
    return fields.objects(field) or []


def read_content(kind: str, block: Fields, marks: CacheMarks) -> list[Text | Image]:
    """Return what a block of this ``kind`` says. Raises InvalidRequest."""
    match kind:
        case "image":
            return [_image(block)]
        case "document":
            return _document(block, marks)
        case "search_result":
            return _search_result(block, marks)
        case "tool_reference":
            # A tool that was held back has been given to the model all the same: its name is
            # enough.
            return _said(block.required_text("tool_name"))
        case "compaction":  # what stands for the messages that were before it
            return _said(block.text("content") or "")
        case _:
            return _said(block.required_text("text"))


def read_system_text(block: Fields) -> list[Text | Image]:
    """Raises InvalidRequest."""
    return _said(_BILLING.sub("", block.required_text("text")))


def _said(*texts: str) -> list[Text | Image]:
    said = "\n".join(text for text in texts if text)
    return [Text(said)] if said else []


def _image(block: Fields) -> Image:
    source = _source(block)
    if word(source, "type", ("base64", "url")) == "base64":
        source.text("media_type")  # the picture itself tells
        return read_base64(source.required_text("data"), source.name("data"))
    return read_image(source.required_text("url"), source.name("url"))


def _document(block: Fields, marks: CacheMarks) -> list[Text | Image]:
    _refuse_citations(block)
    about = [block.text("title") or "", block.text("context") or ""]
    source = _source(block)
    if word(source, "type", ("text", "content")) == "text":
        source.text("media_type")
        return _said(*about, source.required_text("data"))
    parts = _said(*about, "\n") if any(about) else []
    for each in read_blocks(source, "content"):
        marks.read(each)
        parts += read_content(word(each, "type", _CONTENT), each, marks)
    return parts


def _search_result(block: Fields, marks: CacheMarks) -> list[Text | Image]:
    _refuse_citations(block)
    said = [block.required_text("title"), block.required_text("source"), ""]
    for each in read_blocks(block, "content"):
        marks.read(each)
        word(each, "type", ("text",))
        said.append(each.required_text("text"))
    return _said(*said)


def _refuse_citations(block: Fields) -> None:
    """Whoever wants an answer that cites is not served by one that does not."""
    citations = block.inner("citations")
    if citations and citations.flag("enabled"):
        name = citations.name("enabled")
        raise InvalidRequest(f'"{name}" is not supported: no answer cites.', field=name)


def _source(block: Fields) -> Fields:
    source = block.inner("source")
    if source is None:
        raise block.missing("source")
    return source
