"""A small GIF writer for what Pillow cannot write: any frame, palette, code size and extension."""

import struct

import numpy as np

MAX_CODES = 4096


def lzw(indices: bytes, code_size: int, clear_every: int = 0, full_table: bool = False) -> bytes:
    """GIF's LZW. A full table is cleared, or kept to the end (`full_table`)."""
    clear, end = 1 << code_size, (1 << code_size) + 1
    bits, bit_count, out = 0, 0, bytearray()

    def put(code: int, width: int) -> None:
        nonlocal bits, bit_count
        bits |= code << bit_count
        bit_count += width
        while bit_count >= 8:
            out.append(bits & 255)
            bits >>= 8
            bit_count -= 8

    table: dict[bytes, int] = {}
    width, following = code_size + 1, end + 1

    def code_of(string: bytes) -> int:
        return string[0] if len(string) == 1 else table[string]

    put(clear, width)
    prefix = b""
    since_clear = 0
    for value in indices:
        string = prefix + bytes([value])
        if len(string) == 1 or string in table:
            prefix = string
            continue
        put(code_of(prefix), width)
        since_clear += 1
        if following < MAX_CODES:
            table[string] = following
            following += 1
            if following > 1 << width and width < 12:
                width += 1
        if (clear_every and since_clear >= clear_every) or (
            following == MAX_CODES and not full_table
        ):
            put(clear, width)
            table, width, following, since_clear = {}, code_size + 1, end + 1, 0
        prefix = bytes([value])
    put(code_of(prefix), width)
    following += 1  # the decoder makes an entry of the last code too
    if following > 1 << width and width < 12:
        width += 1
    put(end, width)
    if bit_count:
        out.append(bits & 255)
    return bytes(out)


def sub_blocks(data: bytes, size: int = 255) -> bytes:
    parts = (data[i : i + size] for i in range(0, len(data), size))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def colour_table(palette: np.ndarray) -> tuple[bytes, int]:
    """A table of a power of two of colours, and the field that says how many."""
    field = max(1, (len(palette) - 1).bit_length()) - 1
    return palette.astype(np.uint8).tobytes().ljust(3 << (field + 1), b"\0"), field


def graphic_control(transparent: int | None = None, disposal: int = 0) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\4" + struct.pack("<BHBB", flags, 10, transparent or 0, 0)


def comment(text: bytes) -> bytes:
    return b"!\xfe" + sub_blocks(text)


def frame(
    indices: np.ndarray,
    *,
    at: tuple[int, int] = (0, 0),
    palette: np.ndarray | None = None,
    interlaced: bool = False,
    code_size: int = 8,
    clear_every: int = 0,
    full_table: bool = False,
    block_size: int = 255,
) -> bytes:
    height, width = indices.shape
    table, field = colour_table(palette) if palette is not None else (b"", 0)
    flags = (0x80 | field if table else 0) | (0x40 if interlaced else 0)
    if interlaced:
        order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4)]
        indices = indices[order + list(range(1, height, 2))]
    head = b"," + struct.pack("<HHHHB", *at, width, height, flags)
    data = lzw(indices.astype(np.uint8).tobytes(), code_size, clear_every, full_table)
    return head + table + bytes([code_size]) + sub_blocks(data, block_size)


def write_gif(
    size: tuple[int, int],
    blocks: list[bytes],
    *,
    palette: np.ndarray | None = None,
    background: int = 0,
    version: bytes = b"GIF89a",
) -> bytes:
    """The logical screen of a size, with a global palette or none, then frames and extensions."""
    table, field = colour_table(palette) if palette is not None else (b"", 0)
    flags = (0x80 | field if table else 0) | 0x70
    return (
        version
        + struct.pack("<HHBBB", *size, flags, background, 0)
        + table
        + b"".join(blocks)
        + b";"
    )
