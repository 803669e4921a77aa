"""The models that benchmarks/isolation.py runs on, made in a folder and imported by name."""

import os
import struct
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.measure import INGLE, REPOSITORY
from benchmarks.random_models import SMALL, write_gguf, write_mlx

POCKET = REPOSITORY / "resources" / "pocket"
# Renders for longer than anybody lives, and says nothing meanwhile.
ENDLESS = (
    "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}"
    "{% endfor %}{% endfor %}{% endfor %}{{ messages[-1]['content'] }}"
)
_TEMPLATE_KEY = b"tokenizer.chat_template"
_STRING_TYPE = 8  # GGUF's number for it


def make_models(folder: Path, home: Path, wanted: Collection[str]) -> None:
    """Make and import ``pocket`` or ``135m`` or both, and what offenders ask for.

    Each name ends in its engine, as ``pocket-llama``. ``pocket-2`` is as large as ``pocket``
    and another, since an alias might share what is loaded; so are ``other``, ``135m-2``, and
    ``loops``, whose template does not end.
    """
    paths = {"pocket-llama": POCKET / "gguf" / "pocket.gguf", "pocket-mlx": POCKET / "mlx"}
    gguf = paths["pocket-llama"].read_bytes()
    for name, template in (("loops", ENDLESS), ("other", "other"), ("pocket-2", "second")):
        path = paths[f"{name}-llama"] = folder / f"{name}-llama.gguf"
        path.write_bytes(with_template(gguf, template))
        path = paths[f"{name}-mlx"] = folder / f"{name}-mlx"
        _link_another(POCKET / "mlx", path, "chat_template.jinja", template)
    if "135m" in wanted:
        for name in ("135m", "135m-2"):
            path = paths[f"{name}-llama"] = folder / f"{name}-llama.gguf"
            write_gguf(path, SMALL)  # its own name is in it
        first, second = (folder / name for name in ("135m-mlx", "135m-2-mlx"))
        write_mlx(first, SMALL)
        config = (first / "config.json").read_text(encoding="utf-8")
        _link_another(first, second, "config.json", config + "\n")
        paths |= {first.name: first, second.name: second}
    for name, path in paths.items():
        _ingle(home, ["import", str(path), "--name", name])


def with_template(gguf: bytes, template: str) -> bytes:
    """Put another chat template in place of one that is at least as long."""
    at = gguf.index(_TEMPLATE_KEY) + len(_TEMPLATE_KEY)
    kind, size = struct.unpack_from("<IQ", gguf, at)
    start = at + struct.calcsize("<IQ")
    # As long as before, so that nothing moves, and all that is added is a comment.
    new = template.encode() + b"{#%s#}" % b" ".ljust(size - len(template.encode()) - len("{##}"))
    assert kind == _STRING_TYPE and len(new) == size, "no template that is long enough"
    return gguf[:start] + new + gguf[start + size :]


def _link_another(first: Path, second: Path, file: str, content: str) -> None:
    """The same weights, not copied, in a folder that is another by one of its files."""
    second.mkdir()
    for each in first.iterdir():
        if each.name != file:
            (second / each.name).symlink_to(each)
    (second / file).write_text(content, encoding="utf-8")


def _ingle(home: Path, arguments: Sequence[str]) -> None:
    subprocess.run(
        [*INGLE, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "INGLENOOK_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
