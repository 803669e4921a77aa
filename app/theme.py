"""Colour tokens, and the palette, the style sheets and the code colours made of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from string import Template

from PySide6.QtCore import QObject, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.settings import ThemeChoice

RESOURCES = Path(__file__).resolve().parent.parent / "resources"

_FONT_PIXELS = 14
_CODE_FONT_PIXELS = 13
_MONOSPACE = ("SF Mono", "JetBrains Mono", "Menlo", "Cascadia Mono", "DejaVu Sans Mono")


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours. Text on the ground it stands on has a contrast of 4.5 at least."""

    dark: bool
    ground: str  # behind the chat
    side: str  # behind the sidebar
    raised: str  # fields, cards, menus
    line: str
    edge: str  # of what is written into
    hover: str
    text: str
    muted: str
    accent: str
    on_accent: str
    bubble: str  # what the user said
    code: str
    danger: str
    danger_ground: str
    notice_ground: str
    good: str
    code_colors: Mapping[str, str]  # by Pygments token type, its first words


LIGHT = Theme(
    dark=False,
    ground="#ffffff",
    side="#f7f5f2",
    raised="#ffffff",
    line="#e6e1da",
    edge="#cdc5ba",
    hover="#efebe5",
    text="#221d18",
    muted="#6d645b",
    accent="#b8470f",
    on_accent="#ffffff",
    bubble="#f4efe8",
    code="#faf8f5",
    danger="#b3261e",
    danger_ground="#fdf0ee",
    notice_ground="#fbf3e6",
    good="#2c7a4b",
    code_colors={
        "Comment": "#7a7067",
        "Keyword": "#9a3412",
        "Keyword.Constant": "#1d5fa8",
        "Literal.String": "#2c6e49",
        "Literal.Number": "#1d5fa8",
        "Name.Function": "#7a3e9d",
        "Name.Class": "#7a3e9d",
        "Name.Decorator": "#7a3e9d",
        "Name.Builtin": "#0f6f7c",
        "Name.Tag": "#9a3412",
        "Name.Attribute": "#0f6f7c",
        "Generic.Deleted": "#b3261e",
        "Generic.Inserted": "#2c7a4b",
        "Generic.Heading": "#9a3412",
    },
)

DARK = Theme(
    dark=True,
    ground="#1c1a18",
    side="#151412",
    raised="#252220",
    line="#383430",
    edge="#514b45",
    hover="#2c2926",
    text="#ede8e2",
    muted="#a79e94",
    accent="#f08a4b",
    on_accent="#1c1208",
    bubble="#2e2925",
    code="#151412",
    danger="#ff9a8f",
    danger_ground="#3a2320",
    notice_ground="#33291b",
    good="#74c795",
    code_colors={
        "Comment": "#968c82",
        "Keyword": "#f2a272",
        "Keyword.Constant": "#86b8ee",
        "Literal.String": "#a3cf9c",
        "Literal.Number": "#86b8ee",
        "Name.Function": "#d2aee8",
        "Name.Class": "#d2aee8",
        "Name.Decorator": "#d2aee8",
        "Name.Builtin": "#7fd0d8",
        "Name.Tag": "#f2a272",
        "Name.Attribute": "#7fd0d8",
        "Generic.Deleted": "#ff9a8f",
        "Generic.Inserted": "#74c795",
        "Generic.Heading": "#f2a272",
    },
)


class Appearance(QObject):
    """Which theme is in force: the system's, or the one that was chosen instead."""

    changed = Signal(object)  # Theme

    def __init__(self, application: QApplication, choice: ThemeChoice) -> None:
        super().__init__(application)
        self._application = application
        self._choice: ThemeChoice = choice
        application.setStyle("Fusion")
        application.setFont(interface_font())
        application.styleHints().colorSchemeChanged.connect(self._on_system_changed)
        self._theme = self._wanted()
        self._apply()

    @property
    def theme(self) -> Theme:
        return self._theme

    def choose(self, choice: ThemeChoice) -> None:
        self._choice = choice
        self._refresh()

    @Slot()
    def _on_system_changed(self) -> None:
        self._refresh()

    def _wanted(self) -> Theme:
        if self._choice == "system":
            scheme = self._application.styleHints().colorScheme()
            return DARK if scheme is Qt.ColorScheme.Dark else LIGHT
        return DARK if self._choice == "dark" else LIGHT

    def _refresh(self) -> None:
        wanted = self._wanted()
        if wanted is not self._theme:
            self._theme = wanted
            self._apply()
            self.changed.emit(wanted)

    def _apply(self) -> None:
        self._application.setPalette(_palette(self._theme))
        self._application.setStyleSheet(_style_sheet(self._theme))


def interface_font() -> QFont:
    font = QGuiApplication.font()
    if "Inter" in QFontDatabase.families():
        font.setFamily("Inter")
    font.setPixelSize(_FONT_PIXELS)
    return font


@cache
def code_font() -> QFont:
    font = QFont(list(_MONOSPACE))
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPixelSize(_CODE_FONT_PIXELS)
    return font


def rich_text_style(theme: Theme) -> str:
    """Return the style sheet of rich text, in the part of CSS that Qt knows."""
    return _filled("rich-text.css", theme)


def _style_sheet(theme: Theme) -> str:
    return _filled("window.qss", theme)


def _filled(name: str, theme: Theme) -> str:
    template = Template((RESOURCES / name).read_text(encoding="utf-8"))
    icons = (RESOURCES / "icons").as_posix()
    return template.substitute(
        asdict(theme), icons=icons, mono=", ".join(f"'{name}'" for name in _MONOSPACE)
    )


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for each, color in (
        (role.Window, theme.ground),
        (role.Base, theme.raised),
        (role.AlternateBase, theme.side),
        (role.Button, theme.raised),
        (role.ToolTipBase, theme.raised),
        (role.Text, theme.text),
        (role.WindowText, theme.text),
        (role.ButtonText, theme.text),
        (role.ToolTipText, theme.text),
        (role.PlaceholderText, theme.muted),
        (role.Link, theme.accent),
        (role.LinkVisited, theme.accent),
        (role.Accent, theme.accent),
        (role.Highlight, theme.accent),
        (role.HighlightedText, theme.on_accent),
        (role.Mid, theme.line),
    ):
        palette.setColor(each, QColor(color))
    for each in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, each, QColor(theme.muted))
    return palette
