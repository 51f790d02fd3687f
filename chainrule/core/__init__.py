"""The tape. Read it in this order: config, arrays, variable, batched, function, backward."""

from . import backward  # noqa: F401 (Variable.backward needs it)
