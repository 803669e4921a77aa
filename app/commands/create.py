"""``ingle create``: a model that is made of another, or of files, by a Modelfile."""

import sys
from pathlib import Path

from app.commands import CommandFailed
from app.commands.library import open_store
from models import adapters, modelfile
from models.creation import Creation, Recipe
from models.errors import InvalidRequest
from models.hub_progress import PullProgress
from models.model import Adapter
from models.modelfile import Modelfile


def create(name: str, file: Path, quantize: str) -> int:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from None
    try:
        found = modelfile.parse(raw)
        recipe = _recipe(found, file.absolute().parent, quantize)
        creation = Creation(open_store(), name, recipe)
    except InvalidRequest as error:
        raise CommandFailed(f"{file}: {error}") from None
    unheeded = [*(each.removeprefix("parameters.") for each in creation.ignored)]
    for each in (*(f"PARAMETER {name}" for name in unheeded), *found.without_effect):
        print(f"ingle: {each} has no effect here.", file=sys.stderr)
    model = creation.run(_show)
    print(f"Made {model.name}.")
    return 0


def _recipe(found: Modelfile, folder: Path, quantize: str) -> Recipe:
    if len(found.bases) > 1:
        raise InvalidRequest(
            "there are several FROM lines: a projector is found where it lies beside its model"
        )
    [base] = found.bases
    path = folder / Path(base).expanduser()
    here = path.exists() and bool(base)
    return Recipe(
        base=None if here else base,
        path=path.resolve() if here else None,
        parameters=found.parameters,
        template=found.template,
        system=found.system,
        messages=tuple(found.messages) or None,
        license=tuple(found.licenses) or None,
        adapters=tuple(_adapter(each, folder) for each in found.adapters),
        quantize=quantize,
    )


def _adapter(written: str, folder: Path) -> Adapter:
    try:
        [found] = adapters.parse(str(folder / Path(written).expanduser()))
    except ValueError:
        raise InvalidRequest(f"ADAPTER {written}: this is PATH, or PATH@SCALE") from None
    return found


def _show(progress: PullProgress) -> None:
    if not progress.total_bytes:
        print(progress.status, flush=True)
    elif progress.completed_bytes == progress.total_bytes:
        print(f"{progress.status} {progress.file}", flush=True)
