"""How models mark what they think and what they call: two tables, one row a kind of markup.

A model family is a row of each, found by the words of its chat template. Whoever reads or
constrains what a model writes goes by the row: a new family is a new row, and where the text
of a call has a form of its own, one more ``CallForm`` (see ``models/engine/calls.py``).
"""

# ruff: noqa: RUF001  # so DeepSeek writes its tags

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from models.markup import CallForm, Calls, Signs, Thoughts

_NAME_AND_ARGUMENTS = '{"name": "{name}", "arguments": {arguments}}'

CALLS: tuple[Calls, ...] = (
    # Qwen 2.5 and 3, Hermes, Granite 4 and many more. Others have XML between the same tags.
    Calls(
        Signs(
            all_of=("<tool_call>", "arguments"),
            none_of=("<arg_key>", "<function=", "as a list of"),
        ),
        begin="<tool_call>",
        end="</tool_call>",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
    ),
    Calls(  # Llama 3.1 to 3.3: nothing but the object
        Signs(
            all_of=("<|start_header_id|>", '"parameters": '),
            none_of=("<tool_call>", "<function=", ">>>"),
        ),
        begin="{",
        end="",
        form=CallForm.JSON,
        call='{"name": "{name}", "parameters": {arguments}}',
        bare=True,
        others=("<|python_tag|>",),
    ),
    Calls(  # Mistral Small 3.2
        Signs(all_of=("[TOOL_CALLS]", "[CALL_ID]")),
        begin="[TOOL_CALLS]",
        end="",
        form=CallForm.NAMED,
        call="{name}[CALL_ID]{id}[ARGS]{arguments}",
    ),
    Calls(  # Ministral 3, Devstral
        Signs(all_of=("[TOOL_CALLS]", "[ARGS]")),
        begin="[TOOL_CALLS]",
        end="",
        form=CallForm.NAMED,
        call="{name}[ARGS]{arguments}",
    ),
    Calls(  # Mistral 7B v0.3, Nemo, Small 3.1
        Signs(all_of=("[TOOL_CALLS]",)),
        begin="[TOOL_CALLS]",
        end="",
        form=CallForm.JSON,
        call='{"name": "{name}", "arguments": {arguments}, "id": "{id}"}',
        open="[",
        between=", ",
        close="]",
    ),
    Calls(  # gpt-oss
        Signs(all_of=("<|channel|>", "<|message|>")),
        begin="<|channel|>commentary to=functions.",
        end="",
        form=CallForm.HARMONY,
        call="{name} <|constrain|>json<|message|>{arguments}",
        others=("<|start|>", "<|end|>", "<|return|>", "<|call|>"),
    ),
    Calls(  # Seed
        Signs(all_of=("<seed:tool_call>",)),
        begin="<seed:tool_call>",
        end="</seed:tool_call>",
        form=CallForm.XML,
        call="\n<function={name}>\n{parameters}</function>\n",
        parameter="<parameter={key}>{value}</parameter>\n",
    ),
    Calls(  # Qwen3-Coder, Qwen 3.5, Nemotron 3, Step 3.5
        Signs(all_of=("<tool_call>", "<function=", "<parameter=")),
        begin="<tool_call>",
        end="</tool_call>",
        form=CallForm.XML,
        call="\n<function={name}>\n{parameters}</function>\n",
        parameter="<parameter={key}>\n{value}\n</parameter>\n",
    ),
    Calls(  # GLM 4.5 and later
        Signs(all_of=("<tool_call>", "<arg_key>")),
        begin="<tool_call>",
        end="</tool_call>",
        form=CallForm.XML,
        call="{name}\n{parameters}",
        parameter="<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n",
    ),
    Calls(  # MiniMax M2
        Signs(all_of=("<minimax:tool_call>",)),
        begin="<minimax:tool_call>",
        end="</minimax:tool_call>",
        form=CallForm.XML,
        call='\n<invoke name="{name}">\n{parameters}</invoke>',
        parameter='<parameter name="{key}">{value}</parameter>\n',
        between="",
        close="\n",
    ),
    Calls(  # DeepSeek V3.2
        Signs(all_of=("｜DSML｜",)),
        begin="<｜DSML｜function_calls>",
        end="</｜DSML｜function_calls>",
        form=CallForm.XML,
        call='\n<｜DSML｜invoke name="{name}">\n{parameters}</｜DSML｜invoke>',
        parameter='<｜DSML｜parameter name="{key}" string="{string}">{value}</｜DSML｜parameter>\n',
        between="",
        close="\n",
    ),
    Calls(  # DeepSeek V3 and R1
        Signs(all_of=("<｜tool▁calls▁begin｜>", "```json")),
        begin="<｜tool▁calls▁begin｜>",
        end="<｜tool▁calls▁end｜>",
        form=CallForm.NAMED,
        call="<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>",
        between="\n",
    ),
    Calls(  # DeepSeek V3.1
        Signs(all_of=("<｜tool▁calls▁begin｜>",)),
        begin="<｜tool▁calls▁begin｜>",
        end="<｜tool▁calls▁end｜>",
        form=CallForm.NAMED,
        call="<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
        between="",
    ),
    Calls(  # Kimi K2
        Signs(all_of=("<|tool_calls_section_begin|>",)),
        begin="<|tool_calls_section_begin|>",
        end="<|tool_calls_section_end|>",
        form=CallForm.NAMED,
        call="<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>"
        "{arguments}<|tool_call_end|>",
        between="",
    ),
    Calls(  # Granite 3: its templates write no calls, but it does
        Signs(all_of=("<|start_of_role|>", "tools"), none_of=("<tool_call>",)),
        begin="<|tool_call|>",
        end="",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
        open="[",
        between=", ",
        close="]",
        others=("<tool_call>",),
    ),
    Calls(  # Phi-4 mini
        Signs(all_of=("<|tool|>",)),
        begin="<|tool_call|>",
        end="<|/tool_call|>",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
        open="[",
        between=", ",
        close="]",
        others=("functools",),
    ),
    Calls(  # Command R7B, Command A
        Signs(all_of=("<|START_ACTION|>",)),
        begin="<|START_ACTION|>",
        end="<|END_ACTION|>",
        form=CallForm.JSON,
        call='{"tool_call_id": "{index}", "tool_name": "{name}", "parameters": {arguments}}',
        open="[\n    ",
        between=",\n    ",
        close="\n]",
    ),
    Calls(  # Command R and R+
        Signs(all_of=("Action:", "```json")),
        begin="Action:",
        end="```",
        form=CallForm.JSON,
        call='{\n        "tool_name": "{name}",\n        "parameters": {arguments}\n    }',
        open="\n```json\n[\n    ",
        between=",\n    ",
        close="\n]",
    ),
    Calls(  # Functionary 3.1
        Signs(all_of=("<|start_header_id|>", "<function=")),
        begin="<function=",
        end="</function>",
        form=CallForm.NAMED,
        call="{name}>{arguments}",
    ),
    Calls(  # Functionary 3.2
        Signs(all_of=(">>>all",)),
        begin=">>>",
        end="",
        form=CallForm.PART,
        call="{name}\n{arguments}",
    ),
    Calls(  # Apriel
        Signs(all_of=("<tool_calls>",)),
        begin="<tool_calls>",
        end="</tool_calls>",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
        open="[",
        between=", ",
        close="]",
    ),
    Calls(  # Nemotron Nano 2
        Signs(all_of=("<TOOLCALL>",)),
        begin="<TOOLCALL>",
        end="</TOOLCALL>",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
        open="[",
        between=", ",
        close="]",
    ),
    Calls(  # Apertus
        Signs(all_of=("<|tools_prefix|>",)),
        begin="<|tools_prefix|>",
        end="<|tools_suffix|>",
        form=CallForm.JSON,
        call='{"{name}": {arguments}}',
        open="[",
        between=", ",
        close="]",
    ),
    Calls(  # Solar Open
        Signs(all_of=("<|tool_call:begin|>",)),
        begin="<|tool_calls|>",
        end="",
        form=CallForm.NAMED,
        call="<|tool_call:begin|>{id}<|tool_call:name|>{name}<|tool_call:args|>"
        "{arguments}<|tool_call:end|>",
        between="",
    ),
    Calls(  # GigaChat 3.1
        Signs(all_of=("<|function_call|>",)),
        begin="<|function_call|>",
        end="",
        form=CallForm.JSON,
        call=_NAME_AND_ARGUMENTS,
    ),
)
THOUGHTS: tuple[Thoughts, ...] = (
    Thoughts(Signs(all_of=("</think>",)), begin="<think>", end="</think>"),
    Thoughts(
        Signs(all_of=("<|channel|>", "<|message|>")),
        begin="<|channel|>analysis<|message|>",
        end="<|end|>",
    ),
    Thoughts(Signs(all_of=("[THINK]",)), begin="[THINK]", end="[/THINK]"),
    Thoughts(Signs(all_of=("<seed:think>",)), begin="<seed:think>", end="</seed:think>"),
)


@dataclass(frozen=True, slots=True)
class ModelFamily:
    calls: Calls | None = None  # None: it calls no tools, or in a way that is not known here
    thoughts: Thoughts | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """All markup. Where a vocabulary has special tokens for it, they are text all the same."""
        found = self.calls.tags if self.calls else ()
        if thoughts := self.thoughts:
            found = (thoughts.begin, thoughts.end, *thoughts.around, thoughts.token, *found)
        return tuple(dict.fromkeys(filter(None, found)))


UNMARKED = ModelFamily()  # all that it writes is said


@lru_cache(maxsize=64)
def family_of(template: str | None) -> ModelFamily:
    """Return the family of the model that has this chat template."""
    if template is None:
        return UNMARKED
    return ModelFamily(_first(CALLS, template), _first(THOUGHTS, template))


Row = TypeVar("Row", Calls, Thoughts)


def _first(rows: Iterable[Row], template: str) -> Row | None:
    return next((row for row in rows if row.signs.fit(template)), None)
