"""The grammar of patches that agent programs send with a tool that takes plain text."""

from functools import cache

from lark import Lark
from lark.exceptions import UnexpectedInput

PATCH = r"""
start: first change+ last
first: "*** Begin Patch" LF
last: "*** End Patch" LF?

change: new | gone
    | edit  // of a file that is there
new: "*** Add File: " path LF added+
gone: "*** Delete File: " path LF
edit: "*** Update File: " path LF moved? lines?

path: /(.+)/
added: "+" /(.*)/ LF -> line
moved: "*** Move to: " path LF
lines: (place | line)+ end?
place: ("@@" | "@@ " /(.+)/) LF
line: ("+" | "-" | " ") /(.*)/ LF
end: "*** End of File" LF

%import common.LF
"""
WHOLE = (
    '*** Begin Patch\n*** Add File: a"b\\c/é.txt\n+one\n+\n*** End Patch',
    "*** Begin Patch\n*** Delete File: a\n*** Delete File: b\n*** End Patch\n",
    "*** Begin Patch\n*** Update File: a\n*** End Patch\n",
    "*** Begin Patch\n*** Update File: a\n*** Move to: b\n@@\n-x\t\n+y\n \n*** End of File\n"
    "*** Update File: c\n@@ class D:\n+\t\n*** End Patch",
)


def allows(grammar: str, text: str) -> bool:
    """Whether a text is in a grammar, by Lark itself, which tries every reading."""
    try:
        _parser(grammar).parse(text)
    except UnexpectedInput:
        return False
    return True


@cache
def _parser(grammar: str) -> Lark:
    written = grammar.replace("/(.*)/", "/(.+)/?")  # Lark knows no terminal that may be empty
    return Lark(written, parser="earley", lexer="dynamic_complete")
