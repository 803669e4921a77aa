"""What the files around the code promise: the lock, the commands, the documents."""

import json
import re
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def locked() -> dict[str, list[str]]:
    """Each locked package and its versions: one, or one for each range of Pythons."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, flags=re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def declared() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = [
        PYPROJECT["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PYPROJECT["dependency-groups"].values(),
    ]
    return [Requirement(line) for group in groups for line in group]


def tracked_files() -> list[Path]:
    """What is committed or about to be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        git = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("This tree is no git checkout, so nothing says which files are ours")
    return [path for line in git.stdout.splitlines() if (path := REPOSITORY / line).is_file()]


LOCKS = [REPOSITORY / "requirements.lock", *sorted(REPOSITORY.glob("tests/clients/*.lock"))]
NPM_LOCKS = sorted(REPOSITORY.glob("tests/*/package-lock.json"))


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_every_locked_file_has_its_hash(path: Path):
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]

    assert lines
    for line in lines:
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_the_lock_names_no_package_index(path: Path):
    lock = path.read_text(encoding="utf-8")

    assert "://" not in lock
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", lock, re.MULTILINE)


@pytest.mark.parametrize("path", NPM_LOCKS, ids=name_of)
def test_a_lock_of_npm_has_hashes_and_names_no_place(path: Path):
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    root = packages.pop("")

    assert packages
    assert {f"node_modules/{name}" for name in root["dependencies"]} <= packages.keys()
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not any("resolved" in each for each in packages.values())


def test_the_further_clients_are_locked():
    for path in sorted(REPOSITORY.glob("tests/clients/*.in")):
        lock = path.with_suffix(".lock").read_text(encoding="utf-8")
        for line in path.read_text(encoding="utf-8").split():
            assert re.search(rf"^{re.escape(Requirement(line).name)}==", lock, re.MULTILINE), line


def test_what_is_declared_is_locked():
    versions = locked()

    for requirement in declared():
        found = versions[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), requirement


def test_an_engine_has_one_version_on_every_platform():
    pins: dict[str, set[str]] = {}
    for requirement in declared():
        if requirement.name in {"mlx", "mlx-lm", "mlx-vlm", "transformers", "xllamacpp"}:
            pins.setdefault(requirement.name, set()).add(str(requirement.specifier))

    assert len(pins) == 5
    assert all(len(specifiers) == 1 for specifiers in pins.values()), pins


def test_what_mlx_vlm_names_and_nobody_uses_is_not_installed():
    lines = (REPOSITORY / "packaging/unused.txt").read_text(encoding="utf-8").splitlines()
    unused = {line for line in lines if not line.startswith("#")}

    assert {"datasets", "mlx-audio", "opencv-python"} <= unused
    assert not unused & locked().keys()
    assert not {"pyarrow", "torch", "torchvision"} & locked().keys()
    modules = ("cv2", "datasets", "miniaudio", "mlx_audio", "pyarrow", "torch", "torchvision")
    assert [name for name in modules if find_spec(name)] == []


def test_every_make_command_in_the_readme_exists():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))

    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[^\n]*`|$)", readme, flags=re.MULTILINE))

    assert {"run", "test"} <= named
    assert named <= targets


def test_the_makefile_explains_each_of_its_targets():
    [phony] = re.findall(r"^\.PHONY: (.*)", MAKEFILE, flags=re.MULTILINE)
    explained = set(re.findall(r"^#   make ([\w-]+)  ", MAKEFILE, flags=re.MULTILINE))

    assert explained == set(phony.split()) - {"help"}


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_the_files_that_a_document_names_exist(document: str):
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    folders = "app|server|models|resources|tests|packaging|docs|benchmarks"

    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", text)

    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_architecture_names_every_module():
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    modules = {
        path.relative_to(REPOSITORY).as_posix()
        for room in ("models", "server", "app")
        for path in (REPOSITORY / room).rglob("*.py")
        if path.name != "__init__.py"
    }

    assert modules
    assert sorted(name for name in modules if f"`{name}`" not in text) == []


def test_no_file_names_a_path_of_one_machine():
    # In pieces, so that this file does not find itself.
    machine = re.compile(r"(^|[^\w.-])/(" + "|".join(["work", "root", "farm", "tmp/w"]) + r")/")

    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in tracked_files()
        for number, line in enumerate(
            path.read_bytes().decode("utf-8", errors="replace").splitlines(), start=1
        )
        if machine.search(line)
    ]

    assert not found


class TestSystemPackages:
    """packaging/system-packages, with apt and dpkg played by small scripts."""

    @pytest.fixture
    def system(self, tmp_path: Path):
        """Runs the script where only `installed` is there, for the user with this id."""

        def run(*, installed: str, user: int) -> subprocess.CompletedProcess[str]:
            commands = {
                "dpkg-query": f"printf '%s' '{installed}'",
                "apt-get": f'echo "$@" >>{tmp_path}/apt.log',
                "id": f"echo {user}",
            }
            for name, script in commands.items():
                (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
                (tmp_path / name).chmod(0o755)
            return subprocess.run(
                [REPOSITORY / "packaging/system-packages", "run"],
                env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
            )

        return run

    EVERYTHING = (
        "installed libgl1, \ninstalled libegl1, \ninstalled libxkbcommon0, \n"
        "installed libdbus-1-3, \ninstalled libfontconfig1, \n"
        "installed libglib2.0-0t64, libglib2.0-0 (= 2.84.4)\n"
        "installed libgomp1, \ninstalled libxcb-cursor0, \ninstalled libxcb-icccm4, \n"
        "installed libxcb-keysyms1, \ninstalled libxcb-shape0, \n"
        "installed libxkbcommon-x11-0, \ninstalled fonts-dejavu-core, \n"
        "installed fonts-noto-color-emoji, \n"
    )

    def test_nothing_is_installed_where_nothing_is_missing(self, system, tmp_path: Path):
        result = system(installed=self.EVERYTHING, user=0)

        assert result.returncode == 0, result.stderr
        assert not (tmp_path / "apt.log").exists()

    def test_root_gets_what_is_missing_and_no_more(self, system, tmp_path: Path):
        missing_one = self.EVERYTHING.replace("installed libegl1", "config-files libegl1")

        result = system(installed=missing_one, user=0)

        assert result.returncode == 0, result.stderr
        assert (tmp_path / "apt.log").read_text(encoding="utf-8").splitlines() == [
            "update",
            "install -y --no-install-recommends libegl1",
        ]

    def test_anyone_else_is_told_the_line_that_does_it(self, system, tmp_path: Path):
        missing_one = self.EVERYTHING.replace("installed libegl1", "not-installed libegl1")

        result = system(installed=missing_one, user=1000)

        assert result.returncode == 1
        assert "apt-get install -y --no-install-recommends libegl1" in result.stderr
        assert not (tmp_path / "apt.log").exists()
