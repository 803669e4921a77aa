"""Which version of Inglenook this is."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    try:
        return version("inglenook")
    except PackageNotFoundError:  # run from its source
        return "0"
