"""How Numba compiles kernels: each with all that it calls at once, and kept on disk.

Numba by itself optimises every function that a compiled one calls, translates it into machine code and keeps it, though nobody
will call it from Python. Here such a function is a *part*: it stays as it is until what calls it is optimised as a whole. And
what comes from disk is loaded without the modules of Numba that only compiling needs, which take longer to import than it does.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from pickle import loads
from typing import Any
from uuid import uuid4
from warnings import warn

import llvmlite.binding as llvm
import numba
from llvmlite.binding.newpassmanagers import create_new_module_pass_manager
from numba import njit
from numba.core import event, target_extension
from numba.core.caching import NullCache, _cache_log, _CacheLocator
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.registry import CPUDispatcher
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from ..core.collection import seldom_collected
from . import compiling

# ---- compiled as a whole ----------------------------------------------------------------------------------------------------


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function, with that of all parts."""

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        # vectorised loops know better which arrays overlap: what they read twice can go now
        passes = create_new_module_pass_manager()
        passes.add_new_gvn_pass()
        passes.add_dead_code_elimination_pass()
        passes.run(self._final_module, self._codegen._pass_builder())


class _WholeCompiler(Compiler):  # type: ignore[misc]
    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *arguments: Any):
        library = _Whole(targetctx.codegen(), "whole")
        library.enable_object_caching()
        super().__init__(typingctx, targetctx.subtarget(target=_Kernels), library, *arguments)

    def compile_extra(self, function: Any) -> Any:
        with seldom_collected:  # of the many objects that are made here, few are garbage before the end
            return super().compile_extra(function)


def jit(function: Any, options: dict[str, Any]) -> Any:
    """Numba's dispatcher of a function that Python calls."""
    dispatcher = njit(pipeline_class=_WholeCompiler, **options)(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


def c_function(function: Any, signature: Any) -> Any:
    """A C function, which has an ``address``."""
    options = {"error_model": "numpy"}
    compiled: Any = CFunc(function, (signature.args, signature.return_type), {}, options, pipeline_class=_WholeCompiler)
    compiled._cache = _Cache(function)
    compiled.compile()
    return compiled


# ---- parts ------------------------------------------------------------------------------------------------------------------


class _Part(JITCodeLibrary):  # type: ignore[misc]
    """Code that is optimised, and translated, with what calls it."""

    def _optimize_final_module(self) -> None: ...

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _PartCompiler(Compiler):  # type: ignore[misc]
    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any):
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        library = _Part(targetctx.codegen(), "part")
        super().__init__(typingctx, targetctx.subtarget(target=_Kernels), library, args, return_type, flags, locals)


class _PartDispatcher(CPUDispatcher):  # type: ignore[misc]
    def add_overload(self, cres: Any) -> None:
        key = object()
        self.targetctx.insert_user_function(key, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres._replace(entry_point=key)


def part(function: Any, options: dict[str, Any] | None = None) -> Any:
    """Numba's dispatcher of a function that only compiled functions call."""
    options = {"nopython": True, "boundscheck": None} | (options or {})
    return _PartDispatcher(function, targetoptions=options, pipeline_class=_PartCompiler)


class _Kernels(target_extension.CPU):  # type: ignore[misc]
    """The processor, as what kernels are compiled for: what they call of Numba's own functions are parts, too."""


target_extension.target_registry["chainrule kernels"] = _Kernels
target_extension.dispatcher_registry[_Kernels] = _PartDispatcher
target_extension.jit_registry[_Kernels] = lambda **options: lambda function: part(function, options)


# ---- kept on disk -----------------------------------------------------------------------------------------------------------


class _Cache(NullCache):  # type: ignore[misc]
    """What is kept of a function on disk: for each set of types a file, which tells by itself what it was made of.

    Numba's own keeps an index beside such files, by which processes that start at once can be given each other's code; damage,
    and that nothing can be written, are errors in it; and it does not look where it cannot write. Here, what is not found, or
    is not what it should be, is compiled.
    """

    def __init__(self, function: Any):
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}".translate(_NOT_IN_NAMES)
        self._code = sha256(function.__code__.co_code).digest()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # all that loaded code needs; the rest is imported when something is compiled
        name, head = self._entry(sig, target_context.codegen())
        for place in _places():
            try:
                kept = (place / name).read_bytes()
            except OSError:
                continue
            data = kept[len(head) + 32 :]
            if kept.startswith(head + sha256(data).digest()):
                _cache_log("[cache] data loaded from %r", str(place / name))
                return CompileResult._rebuild(target_context, *loads(data))
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        name, head = self._entry(sig, data.target_context.codegen())
        content = dumps(_reduced(data))
        for place in _places():
            try:
                _write(place / name, head + sha256(content).digest() + content)
            except OSError:
                continue
            _cache_log("[cache] data saved to %r", str(place / name))
            return
        _tell_that_nothing_is_kept()

    def _entry(self, sig: Any, codegen: Any) -> tuple[str, bytes]:
        """The file's name, the same whatever the version, so that files replace those of before; and what it begins with."""
        kind = sha256(repr((sys.implementation.cache_tag, codegen.magic_tuple(), sig)).encode())
        return f"{self._name}.{kind.hexdigest()[:16]}.nbc", sha256(_stamp() + self._code + kind.digest()).digest()


_NOT_IN_NAMES = str.maketrans("", "", "<>")


def _reduced(compiled: Any) -> Any:
    """What is kept: the machine code, and the names of the functions in it.

    Numba would keep their code in LLVM's language too, to link it into other functions; that is parsed when it is loaded.
    """
    (name, kind, (code, _)), *rest = compiled._reduce()
    names = "\n".join(f'define void @"{f.name}"() {{ ret void }}' for f in compiled.library.get_defined_functions())
    return (name, kind, (code, llvm.parse_assembly(names).as_bitcode())), *rest


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{uuid4().hex[:8]}.tmp")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


@cache
def _places() -> list[Path]:
    """The folders in which compiled code is looked for, of which the first that can be written to keeps it."""
    folder = _CacheLocator.get_suitable_cache_subpath(__file__)
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR, folder)]
    users = Path(AppDirs("numba", appauthor=False).user_cache_dir)
    return [Path(__file__).parent / "__pycache__", *([users / folder] if users.is_absolute() else [])]


@cache
def _tell_that_nothing_is_kept() -> None:
    warn(
        "compiled kernels cannot be kept on disk, so each process compiles its own: none of these folders can be written to: "
        f"{', '.join(map(str, _places()))}. Set NUMBA_CACHE_DIR to one that can",
        stacklevel=2,
    )


@cache
def _stamp() -> bytes:
    """Which sources kernels are made of: all together, as they call each other. Images of containers change files' times."""
    try:
        files = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".py", ".pyc"))
        sources = [path.name.encode() + path.read_bytes() for path in files]
    except NotADirectoryError:  # in an archive
        archive = next(parent for parent in Path(__file__).parents if parent.is_file()).stat()
        sources = [f"{archive.st_mtime_ns} {archive.st_size}".encode()]
    return sha256(b"".join([numba.__version__.encode(), *sources])).digest()


class _Announcer(event.Listener):  # type: ignore[misc]
    """Tells of what Numba compiles."""

    def on_start(self, event: Any) -> None:
        compiling.begins()

    def on_end(self, event: Any) -> None:
        compiling.ends()


event.register("numba:compile", _Announcer())
