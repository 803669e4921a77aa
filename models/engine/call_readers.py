"""Which reader reads the calls of which form."""

from collections.abc import Sequence

from models.chat import Tool
from models.engine.calls import CallReader
from models.engine.calls_gemma import GemmaCalls
from models.engine.calls_json import JsonCall, NamedCall
from models.engine.calls_python import PythonCalls
from models.engine.calls_xml import XmlCalls
from models.markup import CallForm, Calls


def reader_of(calls: Calls, tag: str, tools: Sequence[Tool]) -> CallReader:
    """Return what reads behind a tag; "": the text is to tell by itself whether it is a call."""
    match calls.form:
        case CallForm.JSON:
            return JsonCall(calls, () if tag else [each.name for each in tools])
        case CallForm.XML:
            return XmlCalls(calls, tools)
        case CallForm.PYTHON:
            return PythonCalls(calls, () if tag else [each.name for each in tools])
        case CallForm.GEMMA:
            return GemmaCalls(calls)
        case CallForm.NAMED | CallForm.HARMONY | CallForm.PART:
            return NamedCall(calls)
