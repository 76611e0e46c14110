"""One bit vector of a block, 8 words, as a single value of a compiled loop, held in the processor's wide registers.

Written as eight numbers they would be joined one by one, for numba does not gather such runs (SLP_VECTORIZE is off).
In plain Python a vector is an array of its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from engine.records import U64

WORDS = 8
AND, OR, XOR, MINUS = range(4)  # how two vectors are joined
_WORDS_IR = ir.VectorType(ir.IntType(64), WORDS)


class Wide(types.Type):
    """The type of a vector."""

    def __init__(self) -> None:
        super().__init__(name="Wide")


WIDE = Wide()


@register_model(Wide)
class _WideModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORDS_IR)  # type: ignore[no-untyped-call]


def load(bit_B: U64, vector: int) -> U64:
    """Return a vector by its number; bit_B holds one after the other."""
    return bit_B[vector * WORDS : (vector + 1) * WORDS].copy()


def store(bit_B: U64, vector: int, words: U64) -> None:
    """Write a vector to its place."""
    bit_B[vector * WORDS : (vector + 1) * WORDS] = words


def join(operation: int, one: U64, other: U64) -> U64:
    """Join two vectors word by word."""
    if operation == AND:
        return one & other
    if operation == OR:
        return one | other
    return one ^ other if operation == XOR else one & ~other


def _place(context: Any, builder: Any, kind: Any, array: Any, vector: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    first = builder.mul(vector, ir.Constant(ir.IntType(64), WORDS))
    return builder.bitcast(builder.gep(data, [first]), _WORDS_IR.as_pointer())


def _loaded(_: Any, bit_B: Any, _vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=8)

    return WIDE(bit_B, types.intp), generate


def _stored(_: Any, bit_B: Any, _vector: Any, _words: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature.args[0], *arguments[:2]), align=8)
        return context.get_dummy_value()

    return types.void(bit_B, types.intp, WIDE), generate


def _joined(emit: Callable[[Any, Any, Any], Any]) -> Any:
    """Return the compiled form of joining two vectors by what `emit` writes for a builder and both."""

    def typed(_: Any, _one: Any, _other: Any) -> Any:
        return WIDE(WIDE, WIDE), lambda _context, builder, _signature, arguments: emit(builder, *arguments)

    return intrinsic(typed)


_load: Any = intrinsic(_loaded)
_store: Any = intrinsic(_stored)
_and = _joined(lambda builder, one, other: builder.and_(one, other))
_or = _joined(lambda builder, one, other: builder.or_(one, other))
_xor = _joined(lambda builder, one, other: builder.xor(one, other))
_minus = _joined(lambda builder, one, other: builder.and_(one, builder.not_(other)))


@overload(load, strict=False)
def _compiled_load(_bit_B: Any, _vector: Any) -> Any:
    return lambda bit_B, vector: _load(bit_B, vector)  # noqa: PLW0108 - numba compiles functions, not intrinsics


@overload(store, strict=False)
def _compiled_store(_bit_B: Any, _vector: Any, _words: Any) -> Any:
    return lambda bit_B, vector, words: _store(bit_B, vector, words)  # noqa: PLW0108


@overload(join, strict=False)
def _compiled_join(_operation: Any, _one: Any, _other: Any) -> Any:
    def joined(operation: int, one: U64, other: U64) -> U64:
        if operation == AND:
            return _and(one, other)
        if operation == OR:
            return _or(one, other)
        if operation == XOR:
            return _xor(one, other)
        return _minus(one, other)

    return joined
