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
        ("library/pocket", "pocket:latest"),
        ("Library/pocket:gguf", "pocket:gguf"),
        ("registry.ollama.ai/library/pocket:latest", "pocket:latest"),
        ("https://ollama.com/library/llama3.2:3b", "llama3.2:3b"),
        ("registry.ollama.ai/someone/model", "someone/model:latest"),
        ("https://huggingface.co/org/repo", "org/repo:latest"),
        ("http://www.HuggingFace.co/org/repo/", "org/repo:latest"),
        ("https://huggingface.co/org/repo/tree/main", "org/repo:latest"),
        ("https://huggingface.co/org/repo/tree/main/?a=b#files", "org/repo:latest"),
        ("https://hf.co/org/repo:Q8_0", "org/repo:Q8_0"),
        ("https://hf.co/org/repo/blob/main/m-Q8_0.gguf", "org/repo:Q8_0"),
        ("hf.co/org/repo/resolve/main/in/m.gguf?download=true", "org/repo:m"),
        ("huggingface.co/library/model", "library/model:latest"),
        ("org/" + "r" * 96, "org/" + "r" * 96 + ":latest"),
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
        "o" * 96 + "/" + "r" * 96 + ":" + "t" * 96,
        "library/a/b",
        "https://huggingface.co/",
        "https://huggingface.co/datasets/org/data",
        "https://huggingface.co/org/repo/tree/v2",
        "https://evil.example/org/repo",
        "hf.co/hf.co/org/repo",
        "a\x00",
        "C:\\model",
    ],
)
def test_what_cannot_be_a_name_is_refused(typed: str):
    with pytest.raises(InvalidModelName):
        ModelName.parse(typed)


def test_a_file_can_be_called_after_every_name():
    longest = ModelName.parse("Org/" + "r" * 96 + ":" + "t" * 96)

    assert len(longest.file_stem + ".json.lock") < 255
    assert ModelName.parse("Org/Repo:Q8_0").file_stem == "org+repo@q8_0"
