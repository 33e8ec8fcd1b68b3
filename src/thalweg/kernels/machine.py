"""The few machine operations that kernels need and Python lacks: memory, atomics, calls by address.

Addresses are plain 64-bit integers. ``load_float32(address, i)`` reads element i of an array that
begins there, ``store_float32(address, i, value)`` writes it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from thalweg.algebra import noise

_WORD = ir.IntType(64)
_HALF = ir.IntType(32)
NOISE_MEAN, NOISE_SCALE = noise.MEAN, noise.SCALE
_BYTES = ir.IntType(8).as_pointer()


def _place(context, builder, kind, address, index):
    pointer = builder.inttoptr(address, context.get_data_type(kind).as_pointer())
    return builder.gep(pointer, [index], inbounds=True)


def _load(kind):
    @intrinsic
    def load(typing_context, address, index):
        def generate(context, builder, signature, args):
            return builder.load(_place(context, builder, kind, *args))

        return kind(types.int64, types.int64), generate

    return load


def _store(kind):
    @intrinsic
    def store(typing_context, address, index, value):
        def generate(context, builder, signature, args):
            builder.store(args[2], _place(context, builder, kind, *args[:2]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, kind), generate

    return store


load_int64, store_int64 = _load(types.int64), _store(types.int64)
load_float32, store_float32 = _load(types.float32), _store(types.float32)
load_float64, store_float64 = _load(types.float64), _store(types.float64)


@intrinsic
def load_bfloat16(typing_context, address, index):
    """Return element *index* as a float32, of which a bfloat16 is the upper half."""

    def generate(context, builder, signature, args):
        word = builder.load(_place(context, builder, types.int16, *args))
        wide = builder.shl(builder.zext(word, _HALF), _HALF(16))
        return builder.bitcast(wide, ir.FloatType())

    return types.float32(types.int64, types.int64), generate


@intrinsic
def store_bfloat16(typing_context, address, index, value):
    """Write a float32 as the nearest bfloat16, ties to even; NaN stays NaN."""

    def generate(context, builder, signature, args):
        bits = builder.bitcast(args[2], _HALF)
        last = builder.and_(builder.lshr(bits, _HALF(16)), _HALF(1))
        nearest = builder.add(builder.add(bits, _HALF(0x7FFF)), last)
        is_nan = builder.fcmp_unordered("uno", args[2], args[2])
        kept = builder.lshr(builder.select(is_nan, _HALF(0x7FC00000), nearest), _HALF(16))
        place = _place(context, builder, types.int16, *args[:2])
        builder.store(builder.trunc(kept, ir.IntType(16)), place)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


def _half_place(builder, address, index):
    pointer = builder.inttoptr(address, ir.HalfType().as_pointer())
    return builder.gep(pointer, [index], inbounds=True)


@intrinsic
def load_float16(typing_context, address, index):
    """Return element *index* as a float32."""

    def generate(context, builder, signature, args):
        return builder.fpext(builder.load(_half_place(builder, *args)), ir.FloatType())

    return types.float32(types.int64, types.int64), generate


@intrinsic
def store_float16(typing_context, address, index, value):
    """Write a float32 as the nearest float16, ties to even."""

    def generate(context, builder, signature, args):
        builder.store(builder.fptrunc(args[2], ir.HalfType()), _half_place(builder, *args[:2]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def claim(typing_context, address, index):
    """Return the integer at *index* and add one to it, atomically."""

    def generate(context, builder, signature, args):
        place = _place(context, builder, types.int64, *args)
        return builder.atomic_rmw("add", place, _WORD(1), "monotonic")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def select(typing_context, condition, a, b):
    """Return *a* where the condition holds, else *b*, without a branch, so that loops vectorize."""

    def generate(context, builder, signature, args):
        return builder.select(*args)

    return a(types.boolean, a, a), generate


@intrinsic
def add_in_any_order(typing_context, total, term):
    """Add to a running sum whose terms the compiler may regroup into vector lanes."""

    def generate(context, builder, signature, args):
        return builder.fadd(*args, flags=("reassoc",))

    return types.float64(types.float64, types.float64), generate


@intrinsic
def run_parallel(typing_context, parallel, body, data, threads):
    """Run the function at *body* on *threads* threads, by the OpenMP entry point at *parallel*."""

    def generate(context, builder, signature, args):
        count = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [_BYTES, _BYTES, count, count])
        function = builder.inttoptr(args[0], shape.as_pointer())
        pointers = [builder.inttoptr(each, _BYTES) for each in args[1:3]]
        builder.call(function, [*pointers, builder.trunc(args[3], count), count(0)])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def run_here(typing_context, body, data):
    """Run the function at *body* on the calling thread."""

    def generate(context, builder, signature, args):
        shape = ir.FunctionType(ir.VoidType(), [_WORD])
        builder.call(builder.inttoptr(args[0], shape.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _mixed(builder, word):
    """Generate `noise.mixed` on 32-bit words, which vectorize."""
    for shift, factor in noise.ROUNDS:
        word = builder.xor(word, builder.lshr(word, _HALF(shift)))
        word = builder.mul(word, _HALF(factor))
    return builder.xor(word, builder.lshr(word, _HALF(16)))


@intrinsic
def byte_sum(typing_context, key, element):
    """Return `noise.byte_sums` of one element index."""

    def pairs(builder, word):
        low = builder.and_(word, _HALF(noise.PAIRS))
        return builder.add(low, builder.and_(builder.lshr(word, _HALF(8)), _HALF(noise.PAIRS)))

    def generate(context, builder, signature, args):
        key, element = (builder.trunc(each, _HALF) for each in args)
        spread = builder.mul(element, builder.or_(key, _HALF(1)))
        first = _mixed(builder, builder.add(spread, key))
        second = _mixed(builder, builder.add(first, _HALF(noise.SECOND)))
        both = builder.add(pairs(builder, first), pairs(builder, second))
        low = builder.and_(both, _HALF(0xFFFF))
        return builder.add(low, builder.lshr(both, _HALF(16)))

    return types.int32(types.int64, types.int64), generate


@intrinsic
def noise_key(typing_context, seed, t, parameter):
    """Return `noise.key` as a float64, which holds every 32-bit number."""

    def generate(context, builder, signature, args):
        seed, t = (builder.trunc(builder.fptosi(each, _WORD), _HALF) for each in args[:2])
        word = _mixed(builder, seed)
        for part in (t, builder.trunc(args[2], _HALF)):
            word = _mixed(builder, builder.xor(word, part))
        return builder.uitofp(word, ir.DoubleType())

    return types.float64(types.float64, types.float64, types.int64), generate
