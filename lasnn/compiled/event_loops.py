"""Products from the events of a sparse input: the non-zero entries of rows [R, C], listed in order.

Row r has the events `row_start[r]` to `row_start[r + 1]`; each has a channel and a value. Images are rows of pixels
in channels-last order. Weights lie as [kh kw, C, K]: one row of K for each tap and input channel.
"""

import numpy as np
from numba import carray, njit

from lasnn.compiled.compiling import kernel
from lasnn.compiled.vectors import add_scaled, gather, pack

ZERO = np.float32(0)
FLOAT = 4  # bytes
gather8, gather4, gather1 = gather(8), gather(4), gather(1)
pack16, pack8 = pack(16), pack(8)


@kernel("f* i i*")
def count(x, size, found):
    """found[0]: the number of entries that are not zero."""
    x_all, total = carray(x, (size,)), 0
    for start in range(0, size, 1 << 20):
        part, here = x_all[start : start + (1 << 20)], np.int32(0)
        for j in range(len(part)):
            here += np.int32(1) if part[j] != ZERO else np.int32(0)
        total += here
    carray(found, (1,))[0] = total


@kernel("f* i i i* u* f*")
def listed(x, rows, channels, row_start, channel, value):
    """The events of x [R, C]; room for 16 more of them than there are."""
    x_all, starts = carray(x, (rows * channels,)), carray(row_start, (rows + 1,))
    channel_all, value_all = carray(channel, (rows * channels + 16,)), carray(value, (rows * channels + 16,))
    sixteens, eights = channels // 16 * 16, channels // 8 * 8
    address, channel_at, value_at = x_all.ctypes.data, channel_all.ctypes.data, value_all.ctypes.data
    n = 0
    for r in range(rows):
        starts[r] = n
        at = r * channels
        for c in range(0, sixteens, 16):
            n += pack16(address + FLOAT * (at + c), c, channel_at + 2 * n, value_at + FLOAT * n)
        for c in range(sixteens, eights, 8):
            n += pack8(address + FLOAT * (at + c), c, channel_at + 2 * n, value_at + FLOAT * n)
        for c in range(eights, channels):
            channel_all[n] = c
            value_all[n] = x_all[at + c]
            n += 1 if x_all[at + c] != ZERO else 0
    starts[rows] = n


@kernel("i* u* f* i i i* i* f* i*")
def by_channel(row_start, channel, value, rows, channels, start, row, factor, cursor):
    """The same events in the order of their channels: channel c has `start[c]` to `start[c + 1]`, each with its row."""
    starts = carray(row_start, (rows + 1,))
    events = starts[rows]
    channel_all, value_all = carray(channel, (events,)), carray(value, (events,))
    begin, rows_of, factors = carray(start, (channels + 1,)), carray(row, (events,)), carray(factor, (events,))
    place = carray(cursor, (channels,))
    for c in range(channels + 1):
        begin[c] = 0
    for e in range(events):
        begin[channel_all[e] + 1] += 1
    for c in range(channels):
        begin[c + 1] += begin[c]
        place[c] = begin[c]
    for r in range(rows):
        for e in range(starts[r], starts[r + 1]):
            to = place[channel_all[e]]
            rows_of[to] = r
            factors[to] = value_all[e]
            place[channel_all[e]] = to + 1


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
    starts = carray(start, (rows + 1,))
    events = starts[rows]
    offsets, values, place = carray(offset, (events,)), carray(value, (events,)), carray(cursor, (rows,))
    matrix_all, out_all = carray(matrix, (1,)).ctypes.data, carray(out, (1,)).ctypes.data
    for column in range(first, last, panel):
        wide = min(panel, last - column)
        for r in range(rows):
            place[r] = starts[r]
        done, limit = 0, 0
        while done < events:
            limit += inner * width
            for r in range(rows):
                e, end = place[r], starts[r + 1]
                f = e
                while f < end and offsets[f] < limit:
                    f += 1
                if f > e:
                    summed(
                        offsets.ctypes.data + 4 * e, values.ctypes.data + 4 * e, f - e,
                        matrix_all + FLOAT * column, out_all + FLOAT * (r * width + column), wide,
                    )  # fmt: skip
                    place[r] = f
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
    add = add_scaled(lanes)

    @kernel("i* u* f* f* f* i i i i i i i i i i i i", f"{name}_{lanes}")
    def sow(row_start, channel, value, weight, out, height, width, channels, tall, wide, kernel_size, stride, pad,
            first, last, low_channel, high_channel):  # fmt: skip
        """Images `first` to `last`: out [N, OH, OW, K] from weights [C, kk, K], or those from the gradient `out`."""
        starts = carray(row_start, (last * height * width + 1,))
        events = starts[last * height * width]
        channel_all, value_all = carray(channel, (events,)), carray(value, (events,))
        weights, outs = carray(weight, (1,)).ctypes.data, carray(out, (1,)).ctypes.data
        for image in range(first, last):
            for y in range(height):
                low_y, high_y = taps(y, kernel_size, stride, pad, tall)
                for x in range(width):
                    pixel = (image * height + y) * width + x
                    begin, end = starts[pixel], starts[pixel + 1]
                    if begin == end:
                        continue
                    low_x, high_x = taps(x, kernel_size, stride, pad, wide)
                    # Of the first tap; an output further along an axis belongs to a tap that comes earlier.
                    top = image * tall + (y + pad - low_y) // stride
                    corner = outs + FLOAT * lanes * (top * wide + (x + pad - low_x) // stride)
                    for e in range(begin, end):
                        c, factor = channel_all[e], value_all[e]
                        if not forward and not low_channel <= c < high_channel:
                            continue
                        filters = weights + FLOAT * lanes * c * kernel_size * kernel_size
                        line = corner
                        for ky in range(low_y, high_y, stride):
                            output, tap = line, filters + FLOAT * lanes * (ky * kernel_size + low_x)
                            for _ in range(low_x, high_x, stride):
                                if forward:
                                    add(output, tap, factor)
                                else:
                                    add(tap, output, factor)
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
    starts = carray(row_start, (last * height * width + 1,))
    events = starts[last * height * width]
    channel_all, value_all = carray(channel, (events,)), carray(value, (events,))
    room = kernel_size * kernel_size * channels
    offsets, factors = carray(offset, (room,)), carray(factor, (room,))
    weights, outs = carray(weight, (1,)).ctypes.data, carray(out, (1,)).ctypes.data
    for image in range(first, last):
        for oy in range(tall):
            for ox in range(wide):
                n = 0
                for ky in range(max(0, pad - oy * stride), min(kernel_size, height + pad - oy * stride)):
                    line = (image * height + oy * stride + ky - pad) * width
                    for kx in range(max(0, pad - ox * stride), min(kernel_size, width + pad - ox * stride)):
                        pixel, tap = line + ox * stride + kx - pad, (ky * kernel_size + kx) * channels
                        for e in range(starts[pixel], starts[pixel + 1]):
                            offsets[n] = (tap + channel_all[e]) * outputs
                            factors[n] = value_all[e]
                            n += 1
                output = (image * tall + oy) * wide + ox
                summed(
                    offsets.ctypes.data, factors.ctypes.data, n, weights, outs + FLOAT * outputs * output, outputs
                )  # fmt: skip


@kernel("i* u* f* f* f* i* i* f* f* i i i i i i i i i i i i")
def correlated(row_start, channel, value, gradient, weight, begin, offset, factor, padded, height, width, channels,
               outputs, tall, wide, kernel_size, stride, pad, images, first, last):  # fmt: skip
    """Wide layers, weight gradient [kk, C, K] of outputs `first` to `last`: upstream rows where a channel spiked.

    Image by image the events are put in the order of their channels and of their places modulo the stride; a border of
    zeros around the gradient saves the question which taps exist. `padded` is scratch for [OH + 2 kk, OW + 2 kk] rows
    of last - first, `begin` for C s s + 1 numbers, `offset` and `factor` for H W C.
    """
    starts = carray(row_start, (images * height * width + 1,))
    events = starts[images * height * width]
    channel_all, value_all = carray(channel, (events,)), carray(value, (events,))
    classes, part = stride * stride, last - first
    border = kernel_size
    across = wide + 2 * border
    begins = carray(begin, (channels * classes + 1,))
    offsets, factors = carray(offset, (height * width * channels,)), carray(factor, (height * width * channels,))
    rows = carray(padded, ((tall + 2 * border) * across * part,))
    g_all = carray(gradient, (images * tall * wide * outputs,))
    weights = carray(weight, (1,)).ctypes.data
    for j in range(len(rows)):
        rows[j] = ZERO
    for image in range(images):
        for oy in range(tall):
            for ox in range(wide):
                to, source = ((oy + border) * across + ox + border) * part, ((image * tall + oy) * wide + ox) * outputs
                r, g = rows[to : to + part], g_all[source + first : source + last]
                for j in range(part):
                    r[j] = g[j]
        for j in range(len(begins)):
            begins[j] = 0
        top = image * height * width
        for y in range(height):
            for x in range(width):
                kind = (y + pad) % stride * stride + (x + pad) % stride
                for e in range(starts[top + y * width + x], starts[top + y * width + x + 1]):
                    begins[channel_all[e] * classes + kind] += 1
        total = 0
        for j in range(len(begins)):
            total += begins[j]
            begins[j] = total
        for back_y in range(height):
            y = height - 1 - back_y
            for back_x in range(width):
                x = width - 1 - back_x
                kind = (y + pad) % stride * stride + (x + pad) % stride
                # Where the first tap of this kind of place finds its output.
                place = ((y + pad) // stride + border) * across + (x + pad) // stride + border
                for e in range(starts[top + y * width + x], starts[top + y * width + x + 1]):
                    group = channel_all[e] * classes + kind
                    begins[group] -= 1
                    offsets[begins[group]] = place * part
                    factors[begins[group]] = value_all[e]
        for c in range(channels):
            for kind in range(classes):
                group = c * classes + kind
                n = begins[group + 1] - begins[group]
                if n == 0:
                    continue
                for ky in range(kind // stride, kernel_size, stride):
                    for kx in range(kind % stride, kernel_size, stride):
                        shift = (ky // stride * across + kx // stride) * part
                        row = ((ky * kernel_size + kx) * channels + c) * outputs + first
                        summed(
                            offsets.ctypes.data + 4 * begins[group], factors.ctypes.data + 4 * begins[group], n,
                            rows.ctypes.data - FLOAT * shift, weights + FLOAT * row, part,
                        )  # fmt: skip
