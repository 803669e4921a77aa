"""Pieces of code such as people paste: of no use, in a dozen languages, with names without end."""

# pyright: strict
# ruff: noqa: E501 - code is read, and changed, as it stands.

import re

from words import VERBS, Dice

PIECES = [
    "def {a}({b}):\n    return {b} + 1", "def {a}({b}, {c}):\n    for {d} in {b}:\n        if {d} == {c}:\n            return {d}\n    return None",
    "for i in range({n}):\n    print({a}[i])", "import {a}\n\n{b} = {a}.{v}({n})\nprint({b})", "print({a})", "x = {n}\nif x > {n}:\n    {v}({a})",
    "class {A}:\n    def __init__(self, {b}):\n        self.{b} = {b}\n\n    def {v}(self):\n        return self.{b}.{c}",
    "while True:\n    {a} = input()\n    if not {a}: break", "{a} = [{b} for {b} in {c} if {b} > {n}]", "try:\n    {v}({a})\nexcept {A}Error as e:\n    print(e)",
    "Traceback (most recent call last):\n  File \"{a}.py\", line {n}, in <module>\n    {v}({b})\nTypeError: '{c}' object is not callable",
    "function {a}({b}) {\n  return {b}.map(x => x * {n});\n}", "const {a} = ({b}) => {\n  console.log({b});\n};", "let {a} = [];\nfor (let i = 0; i < {n}; i++) {\n  {a}.push({b}(i));\n}",
    "fetch('/api/{a}').then(r => r.json()).then({b} => {v}({b}))", "async function {v}() {\n  const {a} = await {b}({n});\n  return {a};\n}", "document.getElementById('{a}').innerHTML = {b};",
    "SELECT {a}, {b} FROM {c} WHERE {d} = {n} ORDER BY {a};", "select count(*) from {a} join {b} on {a}.id = {b}.{a}_id", "UPDATE {a} SET {b} = '{c}' WHERE id = {n};",
    "#include <stdio.h>\n\nint main() {\n    int {a} = {n};\n    printf(\"%d\\n\", {a});\n    return 0;\n}", "for (int i = 0; i <= {n}; ++i) {a}[i] = {b}[i];", "std::vector<int> {a};\n{a}.push_back({n});",
    "public class {A} {\n    private int {b};\n    public int {v}() { return {b}; }\n}", "System.out.println({a});", "fn {a}({b}: &str) -> usize {\n    {b}.len()\n}", "let mut {a} = Vec::new();\n{a}.push({n});",
    "func {a}({b} int) (int, error) {\n\treturn {b} * {n}, nil\n}", "<div class=\"{a}\">\n  <p>{b}</p>\n</div>", "<button onclick=\"{v}()\">{a}</button>", ".{a} {\n  color: {b};\n  margin: {n}px;\n}",
    "#!/bin/bash\nfor f in *.{a}; do\n  mv \"$f\" {b}/\ndone", "grep -r {a} . | sort | uniq -c", "docker run -p {n}:{n} {a}", "git {v} {a}", "=SUM(A1:A{n})", "pip install {a}",
    "{a}:\n  - {b}: {n}\n    {c}: {d}", "def {a}\n  {b}.each { |x| puts x }\nend", "<?php echo ${a}; ?>", "error: cannot find '{a}' in {b}.c:{n}", "NullPointerException at {A}.{v}({A}.java:{n})",
]  # fmt: skip


def code(dice: Dice) -> str:
    """Return a piece of code, now and then several, or fenced as in Markdown."""
    text = "\n\n".join(_piece(dice) for _ in range(dice.pick([1, 1, 1, 1, 2, 3])))
    if dice.chance(0.3):
        text = f"```{dice.pick(['', '', 'python', 'js', 'c', 'sql'])}\n{text}\n```"
    return text


def _piece(dice: Dice) -> str:
    words = {each: dice.word() for each in "abcd"}
    words |= {"A": words["a"].capitalize(), "v": dice.pick(VERBS)}
    return re.sub(
        r"{([abcdAvn])}",
        lambda found: words.get(found[1]) or str(dice.randint(0, 100)),
        dice.pick(PIECES),
    )
