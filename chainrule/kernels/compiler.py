"""How Numba compiles kernels: each with all that it calls at once, and kept on disk.

Numba by itself optimises every function that a compiled one calls, translates it into machine code and keeps it, though nobody
will call it from Python. Here such a function is a *part*: it stays as it is until what calls it is optimised as a whole. And
what comes from disk is loaded without the modules of Numba that only compiling needs, which take longer to import than it does.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding.newpassmanagers import create_new_module_pass_manager
from numba import njit
from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher
from numba.core.runtime.nrt import rtsys

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
        super().__init__(typingctx, targetctx, library, *arguments)


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
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


class _PartDispatcher(CPUDispatcher):  # type: ignore[misc]
    def add_overload(self, cres: Any) -> None:
        key = object()
        self.targetctx.insert_user_function(key, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres._replace(entry_point=key)


def part(function: Any, options: dict[str, Any] | None = None) -> Any:
    """Numba's dispatcher of a function that only compiled functions call."""
    options = {"nopython": True, "boundscheck": None} | (options or {})
    return _PartDispatcher(function, targetoptions=options, pipeline_class=_PartCompiler)


# ---- kept on disk -----------------------------------------------------------------------------------------------------------


class _Entry(CompileResultCacheImpl):  # type: ignore[misc]
    def reduce(self, cres: Any) -> Any:
        """What is kept: the machine code, and the names of the functions in it.

        Numba would keep their code in LLVM's language too, to link it into other functions; that is parsed when it is loaded.
        """
        (name, kind, (code, _)), *rest = super().reduce(cres)
        names = "\n".join(f'define void @"{f.name}"() {{ ret void }}' for f in cres.library.get_defined_functions())
        return (name, kind, (code, llvm.parse_assembly(names).as_bitcode())), *rest


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache on disk, for which all the kernels' sources together say what is out of date: they call each other."""

    _impl_class = _Entry

    def __init__(self, function: Any):
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, _stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # all that loaded code needs; the rest is imported when something is compiled
        return self._load_overload(sig, target_context)


@cache
def _stamp() -> tuple[int, ...]:
    with os.scandir(Path(__file__).parent) as entries:
        files = sorted((f.name, f.stat()) for f in entries if f.name.endswith(".py"))
    return tuple(n for _, file in files for n in (file.st_mtime_ns, file.st_size))


class _Announcer(event.Listener):  # type: ignore[misc]
    """Tells of what Numba compiles."""

    def on_start(self, event: Any) -> None:
        compiling.begins()

    def on_end(self, event: Any) -> None:
        compiling.ends()


event.register("numba:compile", _Announcer())
