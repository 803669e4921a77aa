import random

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

    assert [(block.kind, block.indent) for block in cut] == [
        ("text", 0),
        ("code", 1),
        ("text", 0),
        ("text", 0),
    ]
    assert cut[1].content == "make"
    assert 'type="none"' in cut[2].content
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

    assert block.content == '<p><a href="https://example.com/cat.png">[a cat]</a></p>\n'


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
