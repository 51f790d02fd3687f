"""Where data sets are looked for that come with no package."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: ``$XDG_CACHE_HOME/chainrule``, or ``~/.cache/chainrule``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "chainrule"
