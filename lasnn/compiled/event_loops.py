"""Products from the events of a sparse input: the non-zero entries of rows [R, C], listed in order.

Row r has the events `row_start[r]` to `row_start[r + 1]`; each has a channel and a value. Images are rows of pixels
in channels-last order. Weights lie as [kh kw, C, K]: one row of K for each tap and input channel.
"""

import numpy as np
from numba import njit, types

from lasnn.compiled.compiling import kernel
from lasnn.compiled.vectors import add_scaled, gather, pack

ZERO = np.float32(0)
FLOAT = 4  # bytes
gather8, gather4, gather1 = gather(8), gather(4), gather(1)
add16, add32 = add_scaled(16), add_scaled(32)
pack16, pack8 = pack(16), pack(8)


@kernel("f*", returns=types.intp)
def count(x):
    """The number of entries that are not zero."""
    total = 0
    for start in range(0, len(x), 1 << 20):
        part, here = x[start : start + (1 << 20)], np.int32(0)
        for j in range(len(part)):
            here += np.int32(1) if part[j] != ZERO else np.int32(0)
        total += here
    return total


@kernel("f* i i i* u* f*")
def listed(x, rows, channels, row_start, channel, value):
    """The events of x [R, C]; room for 16 more of them than there are."""
    sixteens, eights = channels // 16 * 16, channels // 8 * 8
    address, channel_at, value_at = x.ctypes.data, channel.ctypes.data, value.ctypes.data
    n = 0
    for r in range(rows):
        row_start[r] = n
        at = r * channels
        for c in range(0, sixteens, 16):
            n += pack16(address + FLOAT * (at + c), c, channel_at + 2 * n, value_at + FLOAT * n)
        for c in range(sixteens, eights, 8):
            n += pack8(address + FLOAT * (at + c), c, channel_at + 2 * n, value_at + FLOAT * n)
        for c in range(eights, channels):
            channel[n] = c
            value[n] = x[at + c]
            n += 1 if x[at + c] != ZERO else 0
    row_start[rows] = n


@kernel("i* u* f* i i i* i* f* i*")
def by_channel(row_start, channel, value, rows, channels, start, row, factor, cursor):
    """The same events in the order of their channels: channel c has `start[c]` to `start[c + 1]`, each with its row."""
    for c in range(channels + 1):
        start[c] = 0
    for e in range(row_start[rows]):
        start[channel[e] + 1] += 1
    for c in range(channels):
        start[c + 1] += start[c]
        cursor[c] = start[c]
    for r in range(rows):
        for e in range(row_start[r], row_start[r + 1]):
            to = cursor[channel[e]]
            row[to] = r
            factor[to] = value[e]
            cursor[channel[e]] = to + 1


@njit(inline="always")
def summed(offsets, values, n, rows, out, width):
    """out[:width] += sum over n of values x rows[offsets:][:width]; width is a multiple of 16. Addresses."""
    j = 0
    while j + 128 <= width:
        gather8(offsets, values, n, rows + FLOAT * j, out + FLOAT * j)
        j += 128
    while j + 64 <= width:
        gather4(offsets, values, n, rows + FLOAT * j, out + FLOAT * j)
        j += 64
    while j < width:
        gather1(offsets, values, n, rows + FLOAT * j, out + FLOAT * j)
        j += 16


@kernel("i* i* f* f* f* i i i i i i i*")
def product(start, offset, value, matrix, out, rows, width, panel, inner, first, last, cursor):
    """out[r, :] += sum over the events of row r of value x matrix[offset // width, :], columns `first` to `last`.

    Offsets count floats of `matrix` and rise within a row. Columns are taken `panel` at a time and rows of the matrix
    `inner` at a time, so that what is read again lies in a core's cache. `cursor` [R] is scratch.
    """
    events, offset_at, value_at = start[rows], offset.ctypes.data, value.ctypes.data
    matrix_at, out_at = matrix.ctypes.data, out.ctypes.data
    for column in range(first, last, panel):
        wide = min(panel, last - column)
        for r in range(rows):
            cursor[r] = start[r]
        done, limit = 0, 0
        while done < events:
            limit += inner * width
            for r in range(rows):
                e, end = cursor[r], start[r + 1]
                f = e
                while f < end and offset[f] < limit:
                    f += 1
                if f > e:
                    summed(
                        offset_at + 4 * e, value_at + FLOAT * e, f - e,
                        matrix_at + FLOAT * column, out_at + FLOAT * (r * width + column), wide,
                    )  # fmt: skip
                    cursor[r] = f
                    done += f - e


@njit(inline="always")
def taps(place, kernel_size, stride, pad, outside):
    """The first tap that meets a place along an axis, and one behind the last; their outputs are within `outside`."""
    low = (place + pad) % stride
    most = place + pad - (outside - 1) * stride
    if most > low:
        low += (most - low + stride - 1) // stride * stride
    return low, min(kernel_size, place + pad + 1)


def make_sow(name, lanes, forward):
    """Narrow layers: each event adds to the K outputs of every tap, or to the K weights."""
    sixteen = lanes == 16

    @kernel("i* u* f* f* f* i i i i i i i i i i i i", f"{name}_{lanes}")
    def sow(row_start, channel, value, weight, out, height, width, channels, tall, wide, kernel_size, stride, pad,
            first, last, low_channel, high_channel):  # fmt: skip
        """Images `first` to `last`: out [N, OH, OW, K] from weights [C, kk, K], or those from the gradient `out`."""
        weights, outs = weight.ctypes.data, out.ctypes.data
        for image in range(first, last):
            for y in range(height):
                low_y, high_y = taps(y, kernel_size, stride, pad, tall)
                for x in range(width):
                    pixel = (image * height + y) * width + x
                    begin, end = row_start[pixel], row_start[pixel + 1]
                    if begin == end:
                        continue
                    low_x, high_x = taps(x, kernel_size, stride, pad, wide)
                    # Of the first tap; an output further along an axis belongs to a tap that comes earlier.
                    top = image * tall + (y + pad - low_y) // stride
                    corner = outs + FLOAT * lanes * (top * wide + (x + pad - low_x) // stride)
                    for e in range(begin, end):
                        c, factor = channel[e], value[e]
                        if not forward and not low_channel <= c < high_channel:
                            continue
                        filters = weights + FLOAT * lanes * c * kernel_size * kernel_size
                        line = corner
                        for ky in range(low_y, high_y, stride):
                            output, tap = line, filters + FLOAT * lanes * (ky * kernel_size + low_x)
                            for _ in range(low_x, high_x, stride):
                                to, source = (output, tap) if forward else (tap, output)
                                if sixteen:
                                    add16(to, source, factor)
                                else:
                                    add32(to, source, factor)
                                output -= FLOAT * lanes
                                tap += FLOAT * lanes * stride
                            line -= FLOAT * lanes * wide

    return sow


for count_of_lanes in (16, 32):
    make_sow("sow", count_of_lanes, True)
    make_sow("reap", count_of_lanes, False)


@kernel("i* u* f* f* f* i* f* i i i i i i i i i i i")
def convolved(row_start, channel, value, weight, out, offset, factor, height, width, channels, outputs, tall, wide,
              kernel_size, stride, pad, first, last):  # fmt: skip
    """Wide layers, images `first` to `last`: each output pixel sums the weight rows of the events that it sees.

    `offset` and `factor` are scratch for kk C events.
    """
    offset_at, factor_at, weights, outs = offset.ctypes.data, factor.ctypes.data, weight.ctypes.data, out.ctypes.data
    for image in range(first, last):
        for oy in range(tall):
            for ox in range(wide):
                n = 0
                for ky in range(max(0, pad - oy * stride), min(kernel_size, height + pad - oy * stride)):
                    line = (image * height + oy * stride + ky - pad) * width
                    for kx in range(max(0, pad - ox * stride), min(kernel_size, width + pad - ox * stride)):
                        pixel, tap = line + ox * stride + kx - pad, (ky * kernel_size + kx) * channels
                        for e in range(row_start[pixel], row_start[pixel + 1]):
                            offset[n] = (tap + channel[e]) * outputs
                            factor[n] = value[e]
                            n += 1
                output = (image * tall + oy) * wide + ox
                summed(offset_at, factor_at, n, weights, outs + FLOAT * outputs * output, outputs)


@kernel("i* u* f* f* f* i* i* f* f* i i i i i i i i i i i i")
def correlated(row_start, channel, value, gradient, weight, begin, offset, factor, padded, height, width, channels,
               outputs, tall, wide, kernel_size, stride, pad, images, first, last):  # fmt: skip
    """Wide layers, weight gradient [kk, C, K] of outputs `first` to `last`: upstream rows where a channel spiked.

    Image by image the events are put in the order of their channels and of their places modulo the stride; a border of
    zeros around the gradient saves the question which taps exist. `padded` is scratch for [OH + 2 kk, OW + 2 kk] rows
    of last - first, `begin` for C s s + 1 numbers, `offset` and `factor` for H W C.
    """
    classes, part = stride * stride, last - first
    border = kernel_size
    across = wide + 2 * border
    groups, size = channels * classes + 1, (tall + 2 * border) * across * part
    offset_at, factor_at, weights, rows = offset.ctypes.data, factor.ctypes.data, weight.ctypes.data, padded.ctypes.data
    for j in range(size):
        padded[j] = ZERO
    for image in range(images):
        for oy in range(tall):
            for ox in range(wide):
                to, source = ((oy + border) * across + ox + border) * part, ((image * tall + oy) * wide + ox) * outputs
                r, g = padded[to : to + part], gradient[source + first : source + last]
                for j in range(part):
                    r[j] = g[j]
        for j in range(groups):
            begin[j] = 0
        top = image * height * width
        for y in range(height):
            for x in range(width):
                kind = (y + pad) % stride * stride + (x + pad) % stride
                for e in range(row_start[top + y * width + x], row_start[top + y * width + x + 1]):
                    begin[channel[e] * classes + kind] += 1
        total = 0
        for j in range(groups):
            total += begin[j]
            begin[j] = total
        for back_y in range(height):
            y = height - 1 - back_y
            for back_x in range(width):
                x = width - 1 - back_x
                kind = (y + pad) % stride * stride + (x + pad) % stride
                # Where the first tap of this kind of place finds its output.
                place = ((y + pad) // stride + border) * across + (x + pad) // stride + border
                for e in range(row_start[top + y * width + x], row_start[top + y * width + x + 1]):
                    group = channel[e] * classes + kind
                    begin[group] -= 1
                    offset[begin[group]] = place * part
                    factor[begin[group]] = value[e]
        for c in range(channels):
            for kind in range(classes):
                group = c * classes + kind
                n = begin[group + 1] - begin[group]
                if n == 0:
                    continue
                for ky in range(kind // stride, kernel_size, stride):
                    for kx in range(kind % stride, kernel_size, stride):
                        shift = (ky // stride * across + kx // stride) * part
                        row = ((ky * kernel_size + kx) * channels + c) * outputs + first
                        summed(
                            offset_at + 4 * begin[group], factor_at + FLOAT * begin[group], n,
                            rows - FLOAT * shift, weights + FLOAT * row, part,
                        )  # fmt: skip
