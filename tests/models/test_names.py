"""Names of models, as people type them."""

import pytest

from models.errors import InvalidModelName
from models.names import ModelName


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("llama3.2", "llama3.2:latest"),
        ("llama3.2:3b", "llama3.2:3b"),
        ("org/model", "org/model:latest"),
        ("org/model-GGUF:Q4_K_M", "org/model-GGUF:Q4_K_M"),
        ("hf.co/org/model:Q8_0", "org/model:Q8_0"),
        ("HuggingFace.co/org/model", "org/model:latest"),
        ("_a", "_a:latest"),
    ],
)
def test_a_name_is_shown_with_its_tag(typed: str, shown: str):
    assert str(ModelName.parse(typed)) == shown


def test_names_that_differ_in_case_are_one():
    assert ModelName.parse("Org/Model:TAG") == ModelName.parse("org/model:tag")
    assert len({ModelName.parse("A"), ModelName.parse("a:Latest")}) == 1


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "a b",
        "a/b/c",
        "a:",
        ":tag",
        "/a",
        "a/",
        "a:b:c",
        "../a",
        "a/..",
        ".hidden",
        "-flag",
        "a\n",
        "ä",
        "a" * 97,
        "a\x00",
        "C:\\model",
    ],
)
def test_what_cannot_be_a_name_is_refused(typed: str):
    with pytest.raises(InvalidModelName):
        ModelName.parse(typed)
