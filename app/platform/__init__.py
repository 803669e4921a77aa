"""What differs between desktops, behind the same few functions everywhere."""

import sys

if sys.platform == "darwin":
    from app.platform import macos as desktop
else:
    from app.platform import null as desktop

__all__ = ["desktop"]
