"""Triton's interpreter without what it repeats at every call of a device function."""

from typing import Any


def quicken() -> None:
    """Patch Triton's language once a launch, not once a call: the same results, sooner.

    A launch replaces the language's functions by interpreted ones, and puts them back at its end. A device
    function replaces them again, by the same, at each of its calls.
    """
    try:
        import triton.language as tl
        from triton.runtime import interpreter
    except ImportError:
        return
    patch, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__
    patched: set[tuple[bool, bool]] = set()

    def patch_once(fn: Any) -> Any:
        seen = [*fn.__globals__.values()]
        which = (any(value is tl for value in seen), any(value is tl.core for value in seen))
        if which in patched:
            return interpreter._LangPatchScope()
        patched.add(which)
        return patch(fn)

    def launched(self: Any, *args: Any, **kwargs: Any) -> None:
        patched.clear()
        try:
            launch(self, *args, **kwargs)
        finally:
            patched.clear()

    interpreter._patch_lang, interpreter.GridExecutor.__call__ = patch_once, launched
