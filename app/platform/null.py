"""A desktop that asks nothing special of us: Linux, and wherever else Qt runs."""


def has_menu_bar() -> bool:
    """Whether an application's commands belong into a bar along the top of the screen."""
    return False


def window_shown() -> None:
    """The window is on the screen: be an application like any other."""


def window_hidden() -> None:
    """Only the icon in the menu bar is left."""


def work_began(reason: str) -> object:
    """Ask the system not to slow us down while nobody looks; return what ends that."""
    return None


def work_ended(work: object) -> None:
    """Give back what ``work_began`` returned, once."""
