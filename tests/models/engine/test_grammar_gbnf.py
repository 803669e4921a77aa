"""GBNF to Lark: the same sentences, judged by llguidance."""

from collections.abc import Iterator

import pytest

from models.chat import Grammar
from models.engine.grammar import Tokens
from models.engine.grammar_gbnf_lark import gbnf_to_lark
from models.engine.grammar_lark import compile_constraint
from models.engine.grammar_process import GrammarChecker
from models.errors import InvalidRequest

# As llama.cpp has it (grammars/json.gbnf), with its comments and its long rules.
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
"""
SUMS = """
root ::= (expr "=" num "\\n")+
expr ::= term ([-+*/] term)*
term ::= num | "(" expr ")"
num  ::= [0-9]+ ws
ws   ::= [ \\t\\n]*
"""
CHESS = """root ::= "1. " move " " move "\\n" ([1-9] [0-9]? ". " move " " move "\\n")+
move ::= (pawn | nonpawn | castle) [+#]?
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
castle ::= "O-O" "-O"?
"""


@pytest.fixture(scope="module")
def checker() -> Iterator[GrammarChecker]:
    checker = GrammarChecker()
    yield checker
    checker.close()


@pytest.mark.parametrize(
    ("gbnf", "right", "wrong"),
    [
        (JSON, ['{"a": [1, 2.5e3, "x\\u00e9\\"", null]}', "{}", '{ "a":{}}'], ['{"a": }', "[1]"]),
        (SUMS, ["1+(2*3)=7\n", "1=1\n2=2\n"], ["1+(=3\n", "1=1"]),
        (CHESS, ["1. e4 e5\n2. Nf3 Nc6\n", "1. e4 e5\n2. O-O-O h8=Q+\n"], ["1. e4 e5\n"]),
        ('root ::= [a-z]* "z"', ["abz", "zz", "z"], ["ab"]),
        ('root ::= "a"+ | ("b" "c"?){2,} # x', ["aaa", "bbcb"], ["bc", ""]),
        ('root ::= "é\\u00e9\\x41\\U0001F600" .', ["ééA😀\n"], ["ééA😀"]),
        ("root ::= [^\\]\\-a-c/]{2}", ["xd", "日."], ["a/", "--", "x]"]),
        ('root ::= list\nlist ::= "x" | "(" list* ")"', ["x", "(x(xx)())"], ["(x", ")"]),
        ('root::="a"\r\n', ["a"], ["b"]),
        ('root ::= (\n  "a"\n  | "b"\n)', ["a", "b"], ["ab"]),
        ('root ::= under_score-d\nunder_score-d ::= "a"', ["a"], [""]),
        ('root ::= "\\"\\\\/" "" [\\n]', ['"\\/\n'], ['"/\n']),
    ],
)
def test_a_gbnf_means_the_same_in_lark(
    checker: GrammarChecker, gbnf: str, right: list[str], wrong: list[str]
) -> None:
    grammar = compile_constraint(Grammar(gbnf, "gbnf"), Tokens((2,)))

    assert checker.check(grammar) == ""
    assert [each for each in right if not checker.matches(grammar, each)] == []
    assert [each for each in wrong if checker.matches(grammar, each)] == []


def test_a_part_without_recursion_is_one_terminal() -> None:
    # So it means what it says: as two, the first would take the "z" away from the second.
    assert gbnf_to_lark('root ::= [a-z]* "z"').splitlines() == ["start: T0", 'T0: ((/[a-z]/)* "z")']


def test_tokens_are_named_by_their_numbers() -> None:
    lark = gbnf_to_lark('root ::= "a" <[5]> !<[6]>')
    assert "<[5]>" in lark
    assert "<[^6]>" in lark


@pytest.mark.parametrize(
    ("gbnf", "why"),
    [
        ("", "no rule 'root'"),
        ('x ::= "a"', "no rule 'root'"),
        ("root ::= y", "no rule is named 'y'"),
        ('root = "a"', "line 1: '::=' is missing"),
        ('root ::= "a', "line 1: it ends inside quotes"),
        ('root ::= "a"\n\n::= "b"', "line 3: the name of a rule is missing"),
        ("root ::= [z-a]", "line 1: a range ends before it begins"),
        ("root ::= []", "line 1: a class has no characters"),
        ('root ::= "\\q"', "line 1: the escape '\\q' is not known"),
        ('root ::= "\\uD83D"', "there is no character D83D"),
        ('root ::= ("a"', "line 1: ')' is missing"),
        ('root ::= "a" )', "line 1: ')' is not expected"),
        ("root ::= <think>", "a token must be named by its number"),
        ('root ::= "a"' + "*" * 100, "repeated too often"),
        ('root ::= "a"{1000000000}', "repetitions of one thing"),
        ("\n".join(f'r{place} ::= "a"' for place in range(2001)), "2,001 rules"),
    ],
)
def test_what_is_no_gbnf_is_refused_with_its_line(gbnf: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        gbnf_to_lark(gbnf)
    assert why in str(caught.value)
