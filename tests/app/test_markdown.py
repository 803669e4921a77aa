import random
import re
import time
from collections.abc import Iterator
from html import unescape
from itertools import count

import pytest

from app.chat.markdown import Block, Blocks

EVERYTHING = """# Title

A paragraph with **bold**, `code` and a [link](https://example.com).
Its second line.

1. one
2. two
   ```bash
   make
   ```
   and after it
3. three

- a

  - nested
    ```
    deep
    ```

| a | b |
|---|--:|
| 1 | 2 |

> quoted

---

```python
def f():

    return 1
```
Setext
======

Half a fence:

~~~
open
"""


def blocks(text: str) -> list[Block]:
    return Blocks().of(text)


def test_a_text_that_grows_by_any_steps_has_the_blocks_of_the_whole() -> None:
    chance = random.Random(7)
    for _ in range(5):
        growing, length = Blocks(), 0
        while length < len(EVERYTHING):
            length += chance.randint(1, 9)
            assert growing.of(EVERYTHING[:length]) == blocks(EVERYTHING[:length])


def test_each_kind_of_block_has_a_place_of_its_own() -> None:
    kinds = [block.kind for block in blocks("para\n\n```py\nx\n```\n\n---\n\n- item")]

    assert kinds == ["text", "code", "rule", "text"]


def test_code_is_verbatim_and_knows_its_language() -> None:
    assert blocks("```python title=x\nif a < b:\n    <b>\n```") == [
        Block("code", "if a < b:\n    <b>", "python")
    ]


def test_code_in_a_step_of_a_list_stands_alone_and_the_numbers_go_on() -> None:
    cut = blocks("1. make it:\n   ```sh\n   make\n   ```\n   then\n2. run it")

    assert [(block.kind, block.inside) for block in cut] == [
        ("text", ()),
        ("code", ("list",)),
        ("text", ("list",)),
        ("text", ()),
    ]
    assert cut[1].content == "make"
    assert '<ol start="2">' in cut[3].content


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "<!-- hidden -->",
        "[a](javascript:alert(1))",
        "<https://example.com/<b>>",
        "| <b> |\n|---|\n| <i> |",
    ],
)
def test_html_of_the_models_is_shown_and_not_obeyed(text: str) -> None:
    html = "".join(block.content for block in blocks(text))

    for tag in ("<script", "<img", "<!--", "<b>", "<i>", 'href="javascript'):
        assert tag not in html


def test_a_picture_becomes_a_link_and_is_never_fetched() -> None:
    (block,) = blocks("![a cat](https://example.com/cat.png)")

    assert block.content == '<p><a href="https://example.com/cat.png">[a cat]</a></p>'


@pytest.mark.parametrize("tex", [r"\(a_1 + b_2\)", r"\[x \\ y\]", "$x_1*y_1*z$", "$$\na_b\n$$"])
def test_maths_keeps_its_backslashes_and_underscores(tex: str) -> None:
    (block,) = blocks(f"So {tex} it is")

    assert f"<code>{tex}</code>".replace("\n", " ") in block.content.replace("\n", " ")


def test_money_is_not_maths() -> None:
    assert "<code>" not in blocks("It costs $5 today and $6 tomorrow.")[0].content


def test_a_new_text_in_the_old_ones_place_is_parsed_anew() -> None:
    parser = Blocks()
    parser.of(EVERYTHING)

    assert parser.of("Something else") == blocks("Something else")


# -- Lines, links and letters -----------------------------------------------------


def html_of(text: str) -> str:
    return "".join(block.content for block in blocks(text))


def test_lines_stay_lines() -> None:
    assert words_of(blocks("Roses are red,\nViolets are blue.")) == (
        "Roses are red,\nViolets are blue."
    )


@pytest.mark.parametrize("br", ["<br>", "<br/>", "<BR />", "</br>"])
def test_br_breaks_a_line_in_text_and_tables(br: str) -> None:
    assert html_of(f"one{br}two") == "<p>one<br />\ntwo</p>"
    assert "<td>one<br />\ntwo</td>" in html_of(f"| a |\n|---|\n| one{br}two |")


def test_br_in_code_is_code() -> None:
    assert "<code>&lt;br&gt;</code>" in html_of("Write `<br>` here")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("See https://example.com/a_b?x=1 for more.", "https://example.com/a_b?x=1"),
        ("It is at http://localhost:8080.", "http://localhost:8080"),
        ("(see https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("**https://example.com/x**", "https://example.com/x"),
        ("见https://example.com/路径", "https://example.com/"),
        ("请看https://example.com/a。然后", "https://example.com/a"),
        ("http://[::1]:11434/v1!", "http://[::1]:11434/v1"),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM"),
        ("| a |\n|---|\n| https://example.com |", "https://example.com"),
    ],
)
def test_an_address_in_the_text_is_a_link(text: str, address: str) -> None:
    assert f'<a href="{address}">{address}</a>' in html_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "file:///etc/passwd",
        "javascript://x",
        "xhttp://a.b",
        "http://",
        "http://[",
        "ftp://a.b",
        "://",
    ],
)
def test_what_is_no_web_address_is_no_link(text: str) -> None:
    assert "<a" not in html_of(f"See {text} here")


def test_an_address_in_code_or_in_a_link_is_not_linked_again() -> None:
    assert "<a" not in html_of("`https://example.com`")
    assert html_of("[https://a.example](https://b.example)").count("<a") == 1


@pytest.mark.parametrize(
    ("text", "bold"),
    [
        ("这是**重点\uff08括号\uff09**内容。", "重点\uff08括号\uff09"),
        ("これは**「重要」**です。", "「重要」"),
        ("**이 용어(term)**를 쓴다", "이 용어(term)"),
        ("他说**“好。”**然后", "“好。”"),
        ("plain **bold** text", "bold"),
    ],
)
def test_bold_needs_no_spaces_between_letters_that_know_none(text: str, bold: str) -> None:
    assert f"<strong>{bold}</strong>" in html_of(text)


def test_a_multiplication_is_not_emphasis() -> None:
    assert "<em>" not in html_of("2 * 3 * 4 and 你 * 好 * 吗")


# -- Whatever it writes -----------------------------------------------------------

_TAG = re.compile(r"<[^>]*>")


def words_of(shown: list[Block]) -> str:
    """What can be read in the window."""
    return "\n".join(
        block.content if block.kind == "code" else unescape(_TAG.sub("", block.content)).strip()
        for block in shown
    )


def nasty(chance: random.Random, words: Iterator[str], depth: int = 0) -> list[str]:
    """Lines of markdown that nobody would write by hand, with numbered words in them."""
    lines: list[str] = []
    for _ in range(chance.randint(1, 4)):
        match chance.choice(("quote", "list", "deep", "table", "code", "line", "line", "blank")):
            case "quote" if depth < 5:
                lines += [f"> {line}" for line in nasty(chance, words, depth + 1)]
            case "list" if depth < 5:
                mark = chance.choice(("- ", "1. ", "* ", "10) "))
                first, *rest = nasty(chance, words, depth + 1)
                lines += [mark + first, *(" " * chance.randint(1, 5) + line for line in rest)]
            case "deep":
                mark = chance.choice(("- ", "> ", ">", "1. ", "* > ", "+ ", "    "))
                lines.append(mark * chance.randint(5, 40) + next(words))
            case "table":
                lines += ["", f"| {next(words)} | {next(words)} |", "|---|:-:|"]
                for _ in range(3):
                    cells = [next(words) for _ in range(chance.randint(1, 5))]
                    lines.append(chance.choice(("| {} |", "{}")).format(" | ".join(cells)))
            case "code":
                lines += [chance.choice(("```", "~~~~", "    ")), next(words)]
            case "blank":
                lines.append("")
            case _:
                glue = (" ", "**", "*", "_", "`", "~~", "[", "](", "<", ">", "$", r"\(", "![", "。")
                pieces = [next(words) + chance.choice(glue) for _ in range(chance.randint(1, 8))]
                lines.append(chance.choice(("", "# ", "[x]: ", "---")) + "".join(pieces))
    return lines


def test_every_word_is_shown_whatever_it_is_nested_in() -> None:
    chance = random.Random(9)
    for _ in range(300):
        written: list[str] = []
        text = "\n".join(nasty(chance, numbered(written)))
        shown = words_of(blocks(text))

        assert [word for word in written if word not in shown] == [], text


def numbered(written: list[str]) -> Iterator[str]:
    for number in count():
        written.append(f"w{number}w")
        yield written[-1]


def test_nasty_text_that_grows_has_the_blocks_of_the_whole() -> None:
    chance = random.Random(11)
    for _ in range(30):
        text = "\n".join(nasty(chance, numbered([])))
        growing, length = Blocks(), 0
        while length < len(text):
            length += chance.randint(1, 40)
            assert growing.of(text[:length]) == blocks(text[:length])


@pytest.mark.parametrize(
    "text",
    [
        r"\(" * 20_000,
        r"\[" * 20_000,
        "$ a" * 20_000,
        " ".join("`" * length for length in range(1, 400)),
        "[" * 30_000,
        "![" * 20_000,
        "[" * 20_000 + "](" * 20_000,
        "*a " * 20_000,
        "*a **b " * 5_000 + "a* b** " * 5_000,
        "<" * 30_000,
        "http://a." * 10_000,
        "://" * 30_000,
        "a" * 100_000,
        "a\n" * 30_000,
        ">" * 10_000 + " a",
        "- " * 10_000 + "a",
        "> - 1. " * 3_000 + "a",
        "\n".join("  " * depth + "- a" for depth in range(300)),
        "\n".join("> " * depth + "a" for depth in range(300)),
        ("|" + "a|" * 500 + "\n|" + "-|" * 500 + "\n") + ("|" + "b|" * 500 + "\n") * 20,
        "- a\n" * 5_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_is_parsed_for_long(text: str) -> None:
    began = time.process_time()
    blocks(text)

    assert time.process_time() - began < 5  # some took 8, others minutes; now 1 at most


def test_a_banner_of_quote_marks_is_shown_as_it_stands() -> None:
    assert words_of(blocks("Log:\n\n>>>>>>>>>>>>>>>>>>>> START\nok")) == (
        "Log:\n>>>>>>>>>>>>>>>>>>>> START\nok"
    )


def test_quotes_in_each_other_are_blocks_that_know_how_deep_they_stand() -> None:
    shown = blocks("> one\n>\n> > two\n> > ```sh\n> > ls\n> > ```\n\nout")

    assert [(block.kind, block.inside) for block in shown] == [
        ("text", ("quote",)),
        ("text", ("quote", "quote")),
        ("code", ("quote", "quote")),
        ("text", ()),
    ]


def test_a_quote_in_a_list_stands_in_the_list() -> None:
    shown = blocks("1. say\n   > this\n2. then")

    assert [block.inside for block in shown] == [(), ("list", "quote"), ()]
    assert '<ol start="2">' in shown[2].content


def test_a_table_too_large_to_lay_out_is_shown_as_its_source() -> None:
    text = "| a | b |\n|---|---|\n" + "| c | d |\n" * 3_000
    (block,) = blocks(text)

    assert (block.kind, block.content) == ("code", text.rstrip())


def test_a_long_list_is_several_and_counts_on() -> None:
    shown = blocks("\n".join(f"{number}. item" for number in range(1, 251)))

    assert [re.findall(r'start="(\d+)"', block.content) for block in shown] == [
        ["1"],
        ["101"],
        ["201"],
    ]


def test_cells_that_a_row_has_too_many_of_are_kept() -> None:
    assert "<td>1 | 2 | 3</td>" in html_of("| a |\n|---|\n| 1 | 2 | 3 |")


def test_old_line_ends_are_line_ends() -> None:
    assert blocks("a\r\rb\r\n\r\nc\r\rd") == blocks("a\n\nb\n\nc\n\nd")
