"""The tape. Read it in this order: config, arrays, variable, function, backward."""

from . import backward  # noqa: F401 (Variable.backward needs it)
