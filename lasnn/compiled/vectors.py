"""Sums of rows held in vector registers, which numba's own loops would write to memory for each row.

LLVM's vectors of 16 numbers become whatever registers the processor has. Addresses are plain integers.
"""

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
F32, I16, I32, I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _at(builder: ir.IRBuilder, address: ir.Value, index: ir.Value | int, lanes: int) -> ir.Value:
    """A pointer to `lanes` floats, `index` floats behind an address."""
    place = builder.gep(builder.inttoptr(address, F32.as_pointer()), [I64(index) if isinstance(index, int) else index])
    return builder.bitcast(place, ir.VectorType(F32, lanes).as_pointer())


def _load(builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
    loaded = builder.load(pointer)
    loaded.align = 4
    return loaded


def _store(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    builder.store(value, pointer).align = 4


def _splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    one = builder.insert_element(undefined, value, I32(0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def gather(vectors: int) -> Callable:
    """`(offsets, values, n, rows, out)`: out[:16 V] += sum_i values[i] rows[offsets[i] :][:16 V], V = `vectors`.

    `offsets` are int32 and count floats.
    """

    @intrinsic
    def rows_summed(typing, offsets, values, n, rows, out):
        def generate(context, builder, signature, arguments):
            offsets, values, n, rows, out = arguments
            offsets, values = (
                builder.inttoptr(address, kind.as_pointer()) for address, kind in ((offsets, I32), (values, F32))
            )
            places = [_at(builder, out, LANES * v, LANES) for v in range(vectors)]
            start = [_load(builder, place) for place in places]
            before = builder.block
            loop, body, end = (builder.append_basic_block(name) for name in ("gather", "gather.body", "gather.end"))
            builder.branch(loop)
            builder.position_at_end(loop)
            i = builder.phi(I64)
            i.add_incoming(I64(0), before)
            sums = [builder.phi(value.type) for value in start]
            for total, value in zip(sums, start, strict=True):
                total.add_incoming(value, before)
            builder.cbranch(builder.icmp_signed("<", i, n), body, end)
            builder.position_at_end(body)
            offset = builder.zext(builder.load(builder.gep(offsets, [i])), I64)
            factor = _splat(builder, builder.load(builder.gep(values, [i])), LANES)
            for v, total in enumerate(sums):
                row = _load(builder, _at(builder, rows, builder.add(offset, I64(LANES * v)), LANES))
                product = builder.fmul(factor, row, flags=["contract"])
                total.add_incoming(builder.fadd(total, product, flags=["contract"]), body)
            i.add_incoming(builder.add(i, I64(1)), body)
            builder.branch(loop)
            builder.position_at_end(end)
            for total, place in zip(sums, places, strict=True):
                _store(builder, total, place)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp, types.intp), generate

    return rows_summed


def add_scaled(lanes: int) -> Callable:
    """`(out, row, factor)`: out[:lanes] += factor row[:lanes]."""

    @intrinsic
    def scaled_added(typing, out, row, factor):
        def generate(context, builder, signature, arguments):
            out, row, factor = arguments
            place = _at(builder, out, 0, lanes)
            product = builder.fmul(
                _splat(builder, factor, lanes), _load(builder, _at(builder, row, 0, lanes)), flags=["contract"]
            )
            _store(builder, builder.fadd(_load(builder, place), product, flags=["contract"]), place)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.float32), generate

    return scaled_added


def pack(lanes: int) -> Callable:
    """`(x, first, channels, values)`: the non-zero ones of x[:lanes] at `values`, and their channels, counted from

    `first`, as uint16 at `channels`; both get `lanes` numbers written. Returns how many there are.
    """

    @intrinsic
    def packed(typing, x, first, channels, values):
        def generate(context, builder, signature, arguments):
            x, first, channels, values = arguments
            found = _load(builder, _at(builder, x, 0, lanes))
            mask = builder.fcmp_unordered("!=", found, ir.Constant(found.type, [0.0] * lanes))
            splat = _splat(builder, builder.trunc(first, I16), lanes)
            places = builder.add(splat, ir.Constant(splat.type, list(range(lanes))))
            for vector, kind, address, align in ((found, "f32", values, 4), (places, "i16", channels, 2)):
                name = f"llvm.experimental.vector.compress.v{lanes}{kind}"
                function_type = ir.FunctionType(vector.type, [vector.type, mask.type, vector.type])
                compress = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
                front = builder.call(compress, [vector, mask, ir.Constant(vector.type, ir.Undefined)])
                builder.store(front, builder.inttoptr(address, vector.type.as_pointer())).align = align
            bits = builder.bitcast(mask, ir.IntType(lanes))
            return builder.zext(builder.ctpop(bits), I64)

        return types.intp(types.intp, types.intp, types.intp, types.intp), generate

    return packed


@intrinsic
def averaged8(typing, upper, lower, apart, out):
    """out[:8]: a quarter of the sum of upper[:8], lower[:8] and of both `apart` floats further."""

    def generate(context, builder, signature, arguments):
        upper, lower, apart, out = arguments
        a, b, c, d = (
            _load(builder, _at(builder, row, index, 8)) for row in (upper, lower) for index in (I64(0), apart)
        )
        total = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
        _store(builder, builder.fmul(total, ir.Constant(total.type, [0.25] * 8)), _at(builder, out, 0, 8))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def spread8(typing, row, upper, lower, apart):
    """A quarter of row[:8] to where `averaged8` would take it from."""

    def generate(context, builder, signature, arguments):
        row, upper, lower, apart = arguments
        found = _load(builder, _at(builder, row, 0, 8))
        quarter = builder.fmul(found, ir.Constant(found.type, [0.25] * 8))
        for place in (upper, lower):
            for index in (I64(0), apart):
                _store(builder, quarter, _at(builder, place, index, 8))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate
