"""A small TIFF writer for what Pillow cannot write: either byte order, BigTIFF, strips and tiles,
planes, any number of bits, both fill orders, predictors."""

import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 266, 273, 274, 277, 278
STRIP_SIZES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 279, 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_SIZES, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 324, 325, 338, 339, 530
XMP = 700

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, _, CMYK, YCBCR = range(7)
NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS = 1, 5, 7, 8, 32946, 32773
SHORT, LONG, LONG8, BYTE = 3, 4, 16, 1

ASCII, RATIONAL, SIGNED_RATIONAL = 2, 5, 10
DENOMINATOR = 10000

Tags = dict[int, int | Sequence[int] | Sequence[float] | bytes | str]


def lzw(data: bytes) -> bytes:
    """TIFF's LZW: most significant bit first, codes one bit wider one code earlier than in GIF."""
    bits, bit_count, out = 0, 0, bytearray()

    def put(code: int, width: int) -> None:
        nonlocal bits, bit_count
        bits = bits << width | code
        bit_count += width
        while bit_count >= 8:
            bit_count -= 8
            out.append(bits >> bit_count & 255)
        bits &= (1 << bit_count) - 1

    def width_of(following: int) -> int:
        return max(9, following.bit_length())

    table: dict[bytes, int] = {}
    following = 258
    put(256, 9)
    prefix = b""
    for value in data:
        string = prefix + bytes([value])
        if len(string) == 1 or string in table:
            prefix = string
            continue
        put(prefix[0] if len(prefix) == 1 else table[prefix], width_of(following))
        table[string] = following
        following += 1
        if following == 4094:
            put(256, 12)
            table, following = {}, 258
        prefix = bytes([value])
    if prefix:
        put(prefix[0] if len(prefix) == 1 else table[prefix], width_of(following))
        following += 1
    put(257, width_of(following))
    if bit_count:
        out.append(bits << (8 - bit_count) & 255)
    return bytes(out)


def pack_bits(data: bytes) -> bytes:
    out, i = bytearray(), 0
    while i < len(data):
        run = 1
        while i + run < len(data) and run < 128 and data[i + run] == data[i]:
            run += 1
        if run > 1:
            out += bytes([257 - run, data[i]])
            i += run
        else:
            end = i + 1
            while end < len(data) and end - i < 128 and data[end : end + 1] != data[end - 1 : end]:
                end += 1
            out += bytes([end - i - 1]) + data[i:end]
            i = end
    return bytes(out)


COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    NONE: bytes,
    LZW: lzw,
    DEFLATE: lambda data: zlib.compress(data, 9),
    OLD_DEFLATE: lambda data: zlib.compress(data, 9),
    PACK_BITS: pack_bits,
}


def packed_rows(samples: np.ndarray, bits: int, order: str) -> list[bytes]:
    """Samples (height, width, channels) as rows of bytes."""
    flat = samples.reshape(samples.shape[0], -1)
    if bits in (8, 16, 32):
        return [row.tobytes() for row in flat.astype(f"{order}u{bits // 8}")]
    planes = (flat[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(planes.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)
    return [row.tobytes() for row in packed]


def reversed_bits(data: bytes) -> bytes:
    return np.packbits(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")).tobytes()


def differences(samples: np.ndarray, bits: int) -> np.ndarray:
    """Predictor 2: each sample less the same one of the pixel before."""
    out = samples.astype(np.int64)
    out[:, 1:] -= samples[:, :-1]
    return out % (1 << bits)


def blocks_of(
    samples: np.ndarray, tile: tuple[int, int] | None, rows_per_strip: int
) -> list[np.ndarray]:
    """The strips or, filled up by repetition, the tiles (width, height) of one plane."""
    height, width = samples.shape[:2]
    if tile is None:
        return [samples[y : y + rows_per_strip] for y in range(0, height, rows_per_strip)]
    across, down = -(-width // tile[0]), -(-height // tile[1])
    filled = np.pad(
        samples, ((0, down * tile[1] - height), (0, across * tile[0] - width), (0, 0)), mode="edge"
    )
    return [
        filled[y * tile[1] : (y + 1) * tile[1], x * tile[0] : (x + 1) * tile[0]]
        for y in range(down)
        for x in range(across)
    ]


def fractions(numbers: Sequence[float], order: str) -> tuple[int, bytes]:
    """Numbers as a field of fractions: its type, and its bytes."""
    field_type = SIGNED_RATIONAL if min(numbers) < 0 else RATIONAL
    pairs = [part for number in numbers for part in (round(number * DENOMINATOR), DENOMINATOR)]
    return field_type, struct.pack(f"{order}{len(pairs)}{'i' if min(numbers) < 0 else 'I'}", *pairs)


def assemble(
    tags: Tags,
    blocks: list[bytes],
    tiled: bool,
    order: str,
    big: bool,
    *,
    at: int,
    directory_first: bool,
) -> bytes:
    """The file: header, blocks, one directory, its values; or the blocks last. Where it is part of
    another, it lies at `at` in that."""
    head = (16 if big else 8) + at
    data = b"".join(block + bytes(len(block) % 2) for block in blocks)
    if directory_first:
        size = len(directory(tags, blocks, tiled, order, big, head, 0))
        directory_at, blocks_at = head, head + size
    else:
        directory_at, blocks_at = head + len(data), head
    tagged = directory(tags, blocks, tiled, order, big, directory_at, blocks_at)
    mark = b"II" if order == "<" else b"MM"
    if big:
        header = mark + struct.pack(order + "HHHQ", 43, 8, 0, directory_at)
    else:
        header = mark + struct.pack(order + "HI", 42, directory_at)
    return header + (tagged + data if directory_first else data + tagged)


def directory(
    tags: Tags, blocks: list[bytes], tiled: bool, order: str, big: bool, at: int, blocks_at: int
) -> bytes:
    """A directory for this place in the file, and the values of its tags."""
    offsets = []
    for block in blocks:
        offsets.append(blocks_at)
        blocks_at += len(block) + len(block) % 2
    tags = dict(tags)
    tags[TILE_OFFSETS if tiled else STRIP_OFFSETS] = offsets
    tags[TILE_SIZES if tiled else STRIP_SIZES] = [len(block) for block in blocks]
    entry_size, count_size, slot = (20, 8, 8) if big else (12, 2, 4)
    values_at = at + count_size + entry_size * len(tags) + slot
    longs = {TILE_OFFSETS, STRIP_OFFSETS, TILE_SIZES, STRIP_SIZES, WIDTH, HEIGHT, ROWS_PER_STRIP}
    entries, values = b"", b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, bytes):
            field_type, count, packed = BYTE, len(value), value
        elif isinstance(value, str):
            field_type, count, packed = ASCII, len(value) + 1, value.encode() + b"\0"
        elif isinstance(value, tuple) and isinstance(value[0], float):
            field_type, packed = fractions(value, order)
            count = len(value)
        else:
            numbers = [value] if isinstance(value, int) else list(value)
            field_type = LONG if tag in longs or max(numbers) > 0xFFFF else SHORT
            count = len(numbers)
            packed = struct.pack(f"{order}{count}{'I' if field_type == LONG else 'H'}", *numbers)
        if len(packed) > slot:
            where = values_at + len(values)
            values += packed + bytes(len(packed) % 2)
            packed = struct.pack(order + ("Q" if big else "I"), where)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, field_type, count)
        entries += packed.ljust(slot, b"\0")
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return count + entries + bytes(slot) + values


def write_tiff(
    samples: np.ndarray,
    photometric: int,
    bits: int = 8,
    *,
    compression: int = NONE,
    order: str = "<",
    big: bool = False,
    planar: bool = False,
    tile: tuple[int, int] | None = None,
    rows_per_strip: int | None = None,
    fill_order: int = 1,
    predictor: int = 1,
    extra: Sequence[int] = (),
    colour_map: np.ndarray | None = None,
    tags: Tags | None = None,
    without: Sequence[int] = (),
    encode: Callable[[np.ndarray], bytes] | None = None,
    at: int = 0,
    directory_first: bool = False,
) -> bytes:
    """Encodes samples (height, width[, channels]), each already in 0 .. 2^bits − 1.

    `colour_map` is RGB of 16 bits; `encode` makes a block of samples into bytes by itself.
    """
    samples = samples.reshape(samples.shape[0], samples.shape[1], -1)
    height, width, channels = samples.shape
    per_strip = rows_per_strip or height
    planes = [samples[..., i : i + 1] for i in range(channels)] if planar else [samples]
    blocks = []
    for plane in planes:
        for block in blocks_of(plane, tile, per_strip):
            if encode is not None:
                blocks.append(encode(block))
                continue
            coded = differences(block, bits) if predictor == 2 else block
            rows = b"".join(packed_rows(coded, bits, order))
            # The fill order is that of the file's bytes, after compression.
            data = COMPRESS[compression](rows)
            blocks.append(reversed_bits(data) if fill_order == 2 else data)
    all_tags: Tags = {
        WIDTH: width,
        HEIGHT: height,
        BITS: [bits] * channels,
        COMPRESSION: compression,
        PHOTOMETRIC: photometric,
        SAMPLES: channels,
    }
    if tile is None:
        all_tags[ROWS_PER_STRIP] = per_strip
    else:
        all_tags |= {TILE_WIDTH: tile[0], TILE_HEIGHT: tile[1]}
    for tag, value, default in (
        (PLANAR, 2 if planar else 1, 1), (FILL_ORDER, fill_order, 1), (PREDICTOR, predictor, 1),
    ):  # fmt: skip
        if value != default:
            all_tags[tag] = value
    if extra:
        all_tags[EXTRA_SAMPLES] = list(extra)
    if colour_map is not None:
        all_tags[COLOUR_MAP] = colour_map.T.ravel().tolist()
    all_tags |= tags or {}
    for tag in without:
        del all_tags[tag]
    return assemble(
        all_tags, blocks, tile is not None, order, big, at=at, directory_first=directory_first
    )


def exif(orientation: int, order: str = "<", field_type: int = 3) -> bytes:
    """A TIFF structure that holds the orientation alone, as SHORT (3) or LONG (4)."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(
        order + ("HH" if field_type == 3 else "I"), orientation, *([0] * (field_type == 3))
    )
    entry = struct.pack(order + "HHI", 0x0112, field_type, 1) + value
    return magic + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)
