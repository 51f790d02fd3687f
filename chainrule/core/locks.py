"""Locks that a fork takes over."""

from __future__ import annotations

import os
from threading import Lock


def lock() -> Lock:
    """A lock that is free in the child of a fork, where a thread that held it would not be there to release it."""
    made = Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=made.acquire, after_in_parent=made.release, after_in_child=made.release)
    return made
