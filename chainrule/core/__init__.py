"""The tape. Read it in this order: config, arrays, memory, variable, batched, function, backward."""

from . import backward  # noqa: F401 (Variable.backward needs it)
