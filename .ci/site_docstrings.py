"""An extension of griffe: examples in docstrings become blocks of code, which Markdown otherwise takes for quotations."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


class Examples(Extension):
    """Fences each run of lines that begins with ``>>>``, up to an empty line."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Do so in the docstring of an object that has been found."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
