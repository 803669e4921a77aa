"""``ingle cache``: the prompts that are remembered on this disk, shown and cleared."""

from collections import Counter

from app import words
from app.commands import text
from app.commands.library import open_store
from app.settings import Settings
from models import paths, prompt_entry
from models.errors import ModelNotFound
from models.prompt_folder import PromptFolder


def show() -> int:
    home = paths.home()
    folder = PromptFolder(home)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for each in folder.stored():
        try:
            _, name = prompt_entry.whose(each.folder)
        except (OSError, ValueError):
            name = "(damaged)"
        counts[name] += 1
        sizes[name] += each.size_bytes
    rows = [(name, str(counts[name]), words.size(size)) for name, size in sizes.most_common()]
    if rows:
        print(text.table(("MODEL", "PROMPTS", "SIZE"), rows), end="\n\n")
    wanted = Settings.load(home).disk_cache_bytes
    most = folder.most_bytes(wanted)
    why = "" if wanted is None else ", by 'ingle settings disk_cache_bytes'"
    print(f"{words.size(sum(sizes.values()))} of {words.size(most)}{why}, in {folder.path}")
    return 0


def clear(model: str | None) -> int:
    """Forget the prompts of one model, installed or not, or all of them."""
    folder = PromptFolder(paths.home())
    if model is None:
        count, size_bytes = folder.clear(lambda _digest, _name: True)
    else:
        digest, key = _find(model)
        count, size_bytes = folder.clear(
            lambda of, name: of == digest if digest else name.casefold() == key
        )
    print(f"Forgot {count} prompt{'' if count == 1 else 's'}, {words.size(size_bytes)}.")
    return 0


def _find(model: str) -> tuple[str, str]:
    """Return a model's digest, empty where it is not here any more, and how it may be called."""
    try:
        return open_store().find(model).digest, ""
    except ModelNotFound:
        return "", model.casefold()
