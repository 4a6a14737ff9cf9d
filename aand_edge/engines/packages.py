"""Whether a backend's package can be used here."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec


def missing(package: str, extra: str) -> str | None:
    """Why `package`, which the extra of aand-edge brings, cannot be used here, as the end of a sentence; or None.

    It is imported: one whose library is of another system, or half installed, is found and does not load.
    """
    name = package.partition(".")[0]
    if not found(name):
        return f"the package {name} is not installed (pip install 'aand-edge[{extra}]')"
    try:
        import_module(package)
    except Exception as error:  # a broken library fails in many ways
        return f"the package {name} is installed and does not load ({first_line(error)})"
    return None


def found(module: str) -> bool:
    """Whether there is such a module, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def first_line(error: Exception) -> str:
    """What an exception says, in one line; its class where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
