"""Lark without recursion to one regular expression: the same sentences, judged by Lark itself."""

import random
import re
from collections.abc import Iterator

import pytest

from models.engine.grammar_regular import lark_to_regex
from models.errors import InvalidRequest
from tests.patches import PATCH, WHOLE, allows

SUM = r"""
start: term (" + " term)*
term: number | "(" number ")" | NAME "!"i
number: "-"? INT ["." "0".."9" ~ 2..3]
NAME: LETTER (LETTER | DIGIT) ~ 0..3
LETTER: /[a-f_]/i
%import common (INT, DIGIT)
"""
SPACED = r"""
%import common.CNAME -> WORD
%import common.SQL_COMMENT
%ignore " "
%ignore SQL_COMMENT
?start: "select" column ("," column)* end
!column.2: WORD
    | "*"

end: ";" | "\n" /x{2}(?:\/|\\)/s
"""
GRAMMARS = {
    PATCH: WHOLE,
    SUM: ("-12 + (3.45) + aB_!", "F! + 0.123", "a9!", "(7)"),
    SPACED: (
        "select a ,b;",
        " select  *  ;  ",
        "select*--all\nxx/",
        "selecta,*\nxx/",
        "select a\nxx\\",
    ),
}


def nearly(sentences: tuple[str, ...]) -> Iterator[str]:
    """Sentences, and what becomes of them by a slip: of some letters or of some lines."""
    chance = random.Random(0)
    yield from sentences
    for sentence in sentences:
        for place in range(30):
            pieces = sentence.splitlines(keepends=True) if place % 2 else [*sentence]
            start, end = sorted(chance.sample(range(len(pieces) + 1), 2))
            kept, moved = pieces[:start] + pieces[end:], pieces[start:end]
            at = chance.randrange(len(kept) + 1)
            slips = (kept, kept[:at] + moved + kept[at:], [*pieces, *moved])
            yield "".join(chance.choice(slips))


@pytest.mark.parametrize("grammar", GRAMMARS, ids=["patch", "sum", "spaced"])
def test_it_allows_what_the_grammar_allows(grammar: str):
    regex = re.compile(lark_to_regex(grammar))
    found = {each: regex.fullmatch(each) is not None for each in nearly(GRAMMARS[grammar])}

    assert found == {each: allows(grammar, each) for each in found}
    assert all(found[each] for each in GRAMMARS[grammar])
    assert list(found.values()).count(False) > 20


@pytest.mark.parametrize(
    ("grammar", "sentence"),
    [
        ('rule: "a"', "line 1: there is no rule 'start'"),
        ("start: a\na: b\n", "line 2: there is no 'b'"),
        ('start: "a" | ("b"\n\n', "line 1: '(' is not closed"),
        ('start: "a"\n  | "b")\n', "line 2: ')' closes nothing"),
        ('start: "a"\n\n"b"', "line 3: a rule or a terminal is to begin here, and not '\"b\"'"),
        ('start: "a"\nstart: "b"', "line 2: 'start' is there twice"),
        ('start "a"', "line 1: a colon is missing behind 'start'"),
        ('start: a\n// not this one\na: "(" a? ")"', "line 3: 'a' leads back to itself"),
        ("start: A\nA: B\nB: A", "line 2: 'A' leads back to itself"),
        ('start: | * "a"', "line 1: '*' repeats nothing"),
        ('start: "a"{3,2}', "line 1: {3,2} ends before it begins"),
        ('start: "b".."a"', 'line 1: "b".."a" is no range of characters'),
        (r'start: "\q"', r"line 1: \q is not known in a text"),
        (r'start: "\ud800"', r"line 1: \ud800 is no character"),
        ("start: A\nA: /[/", "line 2: /[/ is no regular expression: unterminated"),
        ("start: /a(?=b)/", "line 1: /a(?=b)/ looks around"),
        ("start: <|tool|>", "line 1: '<|tool|' is not known here"),
        ('start: %json {"type": "string"}', "line 1: '%json' is not known here"),
        ("%import python.NAME\nstart: NAME", "line 1: only what is in 'common' can be imported"),
        ("%import common.FOO\nstart: FOO", "line 1: 'FOO' is not in 'common'"),
        ("start: a0\n" + "".join(f"a{n}: a{n + 1} a{n + 1}\n" for n in range(60)) + 'a60: "x"',
         "line 49: 'a47' is longer than 65,536 characters in full"),
        ("start: a0\n" + "".join(f"a{n}: a{n + 1}\n" for n in range(200)) + 'a200: "x"',
         "line 82: 'a80' is more than 80 rules deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_expression_is_refused_with_its_place(grammar: str, sentence: str):
    with pytest.raises(InvalidRequest) as caught:
        lark_to_regex(grammar)

    assert str(caught.value).startswith(f"The grammar cannot be obeyed: {sentence}")
