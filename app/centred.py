"""A page that scrolls, its column in the middle and no wider than reads well."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QScrollArea, QWidget

_WIDTH = 760
_MARGIN = 24


class CentredPage(QScrollArea):
    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def set_column(self, column: QLayout) -> None:
        """Show this. To be called once."""
        inner = QWidget()
        inner.setLayout(column)
        inner.setMaximumWidth(_WIDTH)
        page = QWidget()
        page.setObjectName("scrolled")
        row = QHBoxLayout(page)
        row.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        row.addStretch(1)
        row.addWidget(inner, 100)
        row.addStretch(1)
        self.setWidget(page)
