"""A small BMP writer for what Pillow cannot write: headers, depths, bit fields, run lengths."""

import struct

import numpy as np

INFO_HEADER = 40
CORE_HEADER = 12  # OS/2 1.x
UNCOMPRESSED, RLE8, RLE4, BIT_FIELDS = range(4)


def packed_rows(indices: np.ndarray, bits: int) -> list[bytes]:
    """Indices (height, width) of 1, 4 or 8 bits as rows of bytes."""
    planes = (indices[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(planes.reshape(indices.shape[0], -1).astype(np.uint8), axis=1)
    return [row.tobytes() for row in packed]


def masked_rows(colours: np.ndarray, bits: int, masks: tuple[int, ...]) -> list[bytes]:
    """RGB or RGBA bytes (height, width, channels) as little-endian pixels under these masks."""
    pixels = np.zeros(colours.shape[:2], np.uint32)
    for channel, mask in enumerate(masks):
        if mask == 0:
            continue
        shift = (mask & -mask).bit_length() - 1
        most = mask >> shift
        pixels |= (colours[..., channel].astype(np.uint32) * most // 255) << shift
    raw = pixels.astype("<u4").view(np.uint8).reshape(*pixels.shape, 4)
    return [row.tobytes() for row in raw[:, :, : bits // 8]]


def run_length_rows(indices: np.ndarray, bits: int, literals: bool) -> list[bytes]:
    """RLE4 or RLE8 of rows. Literals are even in number, and at least 4: Pillow misreads odd ones.

    A run's length is at most 254, so that RLE4 repeats whole bytes.
    """
    coded = []
    for row in indices.tolist():
        out, x = b"", 0
        while x < len(row):
            run = 1
            while x + run < len(row) and run < 254 and row[x + run] == row[x]:
                run += 1
            take = min(8, (len(row) - x) // 2 * 2)
            if literals and run < 3 and take >= 4:
                values = row[x : x + take]
                if bits == 4:
                    data = bytes(
                        a << 4 | b for a, b in zip(values[::2], values[1::2], strict=True)
                    )
                else:
                    data = bytes(values)
                out += bytes([0, take]) + data + bytes(len(data) % 2)
                x += take
            else:
                out += bytes([run, row[x] * 17 if bits == 4 else row[x]])
                x += run
        coded.append(out + b"\0\0")
    return coded


def write_bmp(
    rows: list[bytes],
    width: int,
    bits: int,
    *,
    header_size: int = INFO_HEADER,
    compression: int = UNCOMPRESSED,
    palette: np.ndarray | None = None,
    colours: int = 0,
    masks: tuple[int, ...] = (),
    top_down: bool = False,
    gap: int = 0,
    end: bytes = b"",
) -> bytes:
    """Puts coded rows, top first, behind headers; `gap` bytes come before them."""
    height = len(rows)
    padded = [row if compression in (RLE4, RLE8) else row + bytes(-len(row) % 4) for row in rows]
    data = b"".join(padded if top_down else padded[::-1]) + end
    if header_size == CORE_HEADER:
        header = struct.pack("<IHHHH", header_size, width, height, 1, bits)
    else:
        header = struct.pack(
            "<IiiHHIIiiII", header_size, width, -height if top_down else height, 1, bits,
            compression, len(data), 2835, 2835, colours, 0,
        )  # fmt: skip
        header += struct.pack(f"<{len(masks)}I", *masks)
        if header_size > INFO_HEADER:
            header = header.ljust(header_size, b"\0")
    entries = b""
    if palette is not None:
        padding = b"" if header_size == CORE_HEADER else b"\0"
        entries = b"".join(bytes(colour[::-1].tolist()) + padding for colour in palette)
    offset = 14 + len(header) + len(entries) + gap
    file_header = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    return file_header + header + entries + bytes(gap) + data
