"""The scan of `neurons` over rows of memory, [T, N], a block of neurons at a time; pools and the rate code.

Each rounds as the torch scan does. A block is `size` neurons, with `pooled` pairs of rows of pixels [2, W, C] of images
in channels-last order, whose 2x2 averages are written in place of the spikes. Only blocks `first` to `last` are done.
"""

import numpy as np
from numba import carray, njit

from lasnn.compiled.compiling import kernel
from lasnn.compiled.vectors import averaged8, spread8

ZERO, ONE, QUARTER = np.float32(0), np.float32(1), np.float32(0.25)
FLOAT = 4  # bytes
NEVER = np.float32(1000)  # steps since the last spike of a neuron that has not fired


@njit
def averaged(spikes, out, row, channels):
    """2x2 averages [n, W/2, C] of pairs of rows [n, 2, W, C]; `row` is W C."""
    columns, whole = row // (2 * channels), channels // 8 * 8
    source, target = spikes.ctypes.data, out.ctypes.data
    for pair in range(len(spikes) // (2 * row)):
        for column in range(columns):
            at, to = 2 * pair * row + 2 * column * channels, (pair * columns + column) * channels
            for c in range(0, whole, 8):
                upper = source + FLOAT * (at + c)
                averaged8(upper, upper + FLOAT * row, channels, target + FLOAT * (to + c))
            for c in range(whole, channels):
                upper, lower = spikes[at + c] + spikes[at + channels + c], at + row + c
                out[to + c] = QUARTER * (upper + (spikes[lower] + spikes[lower + channels]))


@njit
def spread(pooled, out, row, channels):
    """A quarter of each of [n, W/2, C] to its four pixels of [n, 2, W, C]."""
    columns, whole = row // (2 * channels), channels // 8 * 8
    source, target = pooled.ctypes.data, out.ctypes.data
    for pair in range(len(out) // (2 * row)):
        for column in range(columns):
            to, at = 2 * pair * row + 2 * column * channels, (pair * columns + column) * channels
            for c in range(0, whole, 8):
                upper = target + FLOAT * (to + c)
                spread8(source + FLOAT * (at + c), upper, upper + FLOAT * row, channels)
            for c in range(whole, channels):
                quarter, lower = QUARTER * pooled[at + c], to + row + c
                out[to + c] = out[to + channels + c] = quarter
                out[lower] = out[lower + channels] = quarter


def carries(rule):
    """What a neuron of potential v that fired (o = 1) or not carries over: a function of v, o, θ and λ."""
    if rule == "hard":
        return njit(inline="always")(lambda v, o, theta, leak: (v - v * o) * leak)
    if rule == "instant":
        return njit(inline="always")(lambda v, o, theta, leak: (v - theta * o) * leak)
    return njit(inline="always")(lambda v, o, theta, leak: v * leak - theta * o)


def derivative(surrogate):
    """ψ of the excess v - θ and the steps since the last spike: two numbers give height and slope."""
    if surrogate == "triangle":  # with slope 0 a constant
        return njit(inline="always")(lambda excess, since, height, slope: max(abs(excess) * slope + height, ZERO))
    return njit(inline="always")(lambda excess, since, height, slope: np.exp(since * slope) * height)


def make_fire(rule):
    """Spikes written over the current, without a gradient."""
    carry = carries(rule)

    @kernel("f* f* f* f* i i i i i i i i i f f", f"fire_{rule}")
    def fire(current, out, potential, counts, steps, neurons, size, first, last, row, channels, pooled, counted,
             theta, leak):  # fmt: skip
        """`potential` [N] is carried in and out; `counts` [N], if `counted`, gets each neuron's spikes added."""
        x_all = carray(current, (steps * neurons,))
        out_all = carray(out, (steps * neurons,))
        v_all = carray(potential, (neurons,))
        count_all = carray(counts, (neurons,))
        for block in range(first, last):
            at = block * size
            n = min(size, neurons - at)
            v = v_all[at : at + n]
            count = count_all[at : at + n] if counted else v
            for t in range(steps):
                x = x_all[t * neurons + at : t * neurons + at + n]
                for j in range(n):
                    u = v[j] + x[j]
                    o = ONE if u > theta else ZERO
                    x[j] = o
                    v[j] = carry(u, o, theta, leak)
                if counted:
                    for j in range(n):
                        count[j] += x[j]
                if pooled:
                    to = (t * neurons + at) // 4
                    averaged(x, out_all[to : to + n // 4], row, channels)

    return fire


def make_scan(rule, surrogate):
    """Spikes, and ψ written over the current."""
    carry, psi_of, history = carries(rule), derivative(surrogate), surrogate == "decaying"

    @kernel("f* f* f* f* i i i i i i i i i f f f f", f"scan_{rule}_{surrogate}")
    def scan(current, out, mask, scratch, steps, neurons, size, first, last, row, channels, pooled, masked,
             theta, leak, height, slope):  # fmt: skip
        """`scratch` holds 3 x `size` numbers. With `masked`, spikes are multiplied by `mask` [N] on their way out."""
        x_all = carray(current, (steps * neurons,))
        out_all = carray(out, (steps * neurons,))
        mask_all = carray(mask, (neurons,))
        room = carray(scratch, (3 * size,))
        for block in range(first, last):
            at = block * size
            n = min(size, neurons - at)
            v, since, spikes = room[:n], room[size : size + n], room[2 * size : 2 * size + n]
            for j in range(n):
                v[j] = ZERO
                since[j] = NEVER
            for t in range(steps):
                now = t * neurons + at
                x = x_all[now : now + n]
                spikes = room[2 * size : 2 * size + n] if pooled else out_all[now : now + n]
                if history:
                    for j in range(n):
                        u = v[j] + x[j]
                        o = ONE if u - theta > ZERO else ZERO
                        x[j] = psi_of(u - theta, since[j], height, slope)
                        v[j] = carry(u, o, theta, leak)
                        since[j] = ONE if o > ZERO else since[j] + ONE
                        spikes[j] = o
                else:
                    for j in range(n):
                        u = v[j] + x[j]
                        excess = u - theta
                        o = ONE if excess > ZERO else ZERO
                        x[j] = psi_of(excess, ZERO, height, slope)
                        v[j] = carry(u, o, theta, leak)
                        spikes[j] = o
                if masked:
                    kept = mask_all[at : at + n]
                    for j in range(n):
                        spikes[j] *= kept[j]
                if pooled:
                    averaged(spikes, out_all[now // 4 : now // 4 + n // 4], row, channels)

    return scan


def make_back(kind):
    """δ = ψ g + λ δ' written over ψ, δ' that of the step after; `reset`: θ of the reset path, leaked where it is."""

    @kernel("f* f* f* f* f* i i i i i i i i i i f f", f"back_{kind}")
    def back(psi, gradient, mask, spikes, scratch, steps, neurons, stride, size, first, last, row, channels, pooled,
             masked, leak, reset):  # fmt: skip
        """`gradient` of the output has `stride` numbers a step, 0 where all are the same; `scratch` as in `scan`."""
        psi_all = carray(psi, (steps * neurons,))
        g_all = carray(gradient, (steps * neurons,))
        mask_all = carray(mask, (neurons,))
        spike_all = carray(spikes, (steps * neurons,))
        room = carray(scratch, (3 * size,))
        for block in range(first, last):
            at = block * size
            n = min(size, neurons - at)
            delta, wide, upstream = room[:n], room[size : size + n], room[2 * size : 2 * size + n]
            for j in range(n):
                delta[j] = ZERO
            for back_t in range(steps):
                t = steps - 1 - back_t
                p = psi_all[t * neurons + at : t * neurons + at + n]
                if pooled:
                    g = wide
                    spread(g_all[t * stride + at // 4 : t * stride + at // 4 + n // 4], wide, row, channels)
                else:
                    g = g_all[t * stride + at : t * stride + at + n]
                if masked:
                    kept = mask_all[at : at + n]
                    for j in range(n):
                        upstream[j] = g[j] * kept[j]
                    g = upstream
                if kind == "reset":
                    for j in range(n):
                        d = p[j] * (g[j] - reset * delta[j]) + leak * delta[j]
                        p[j] = d
                        delta[j] = d
                elif kind == "hard":
                    o = spike_all[t * neurons + at : t * neurons + at + n]
                    for j in range(n):
                        d = p[j] * g[j] + (leak * delta[j]) * (ONE - o[j])
                        p[j] = d
                        delta[j] = d
                else:
                    for j in range(n):
                        d = p[j] * g[j] + leak * delta[j]
                        p[j] = d
                        delta[j] = d

    return back


for chosen in ("plain", "instant", "hard"):
    make_fire(chosen)
    for shape in ("triangle", "decaying"):
        make_scan(chosen, shape)
for chosen in ("plain", "reset", "hard"):
    make_back(chosen)


@kernel("f* f* i i i i i")
def pool(x, out, height, row, channels, first, last):
    """2x2 averages of images `first` to `last` of [N, H, W, C] (`row` is W C), H and W even."""
    size = height * row
    x_all, out_all = carray(x, (last * size,)), carray(out, (last * size // 4,))
    averaged(x_all[first * size : last * size], out_all[first * size // 4 : last * size // 4], row, channels)


@kernel("f* f* i i i i i")
def unpool(gradient, out, height, row, channels, first, last):
    """A quarter of each gradient to the four pixels behind it."""
    size = height * row
    g_all, out_all = carray(gradient, (last * size // 4,)), carray(out, (last * size,))
    spread(g_all[first * size // 4 : last * size // 4], out_all[first * size : last * size], row, channels)


@kernel("f* f* i i i i")
def rate_code(uniform, x, steps, pixels, first, last):
    """sign(x) where the uniform draw is at most |x|, else 0, written over the draws: [T, N] with x [N], of steps."""
    u_all = carray(uniform, (steps * pixels,))
    x_all = carray(x, (pixels,))
    for t in range(first, last):
        u = u_all[t * pixels : (t + 1) * pixels]
        for j in range(pixels):
            value = x_all[j]
            sign = ONE if value > ZERO else (-ONE if value < ZERO else ZERO)
            u[j] = sign if u[j] <= abs(value) else ZERO


GOLDEN, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S30, S27, S31, S8, S40 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(8), np.uint64(40)
LOW, STEP = np.uint64(0xFFFFFFFF), np.float32(2.0**-24)


@njit(inline="always")
def mixed(z):
    """The output of SplitMix64 in this state."""
    z = (z ^ (z >> S30)) * FIRST
    z = (z ^ (z >> S27)) * SECOND
    return z ^ (z >> S31)


@kernel("f* i i i i i i")
def uniforms(out, key, pixels, stride, start, rows, step):
    """`rows` rows of `pixels` uniform draws: row r, written at r x `stride`, is row `start` + r x `step` of `key`'s."""
    pairs = (pixels + 1) // 2
    out_all = carray(out, ((rows - 1) * stride + pixels,))
    for r in range(rows):
        o = out_all[r * stride : r * stride + pixels]
        base = np.uint64(key) + np.uint64((start + r * step) * pairs + 1) * GOLDEN
        for p in range(pixels // 2):
            z = mixed(base + np.uint64(p) * GOLDEN)
            o[2 * p] = np.float32(np.int32((z & LOW) >> S8)) * STEP
            o[2 * p + 1] = np.float32(np.int32(z >> S40)) * STEP
        if pixels % 2:
            z = mixed(base + np.uint64(pairs - 1) * GOLDEN)
            o[pixels - 1] = np.float32(np.int32((z & LOW) >> S8)) * STEP
