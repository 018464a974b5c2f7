"""Takes HEIC and AVIF files apart and puts their coded pictures together anew: with rotations, grids
and brands that the encoders do not write."""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

META_HEAD = 4  # a full box's version and flags


class Item(NamedTuple):
    """An item of a file: a coded picture, or one derived from others."""

    kind: bytes  # hvc1, av01, grid
    data: bytes
    properties: tuple[bytes, ...]  # whole boxes
    size: tuple[int, int]


def box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + kind + data


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in some bytes: type and content."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + (size or len(data) - at)]
        at += size or len(data) - at


def child(data: bytes, kind: bytes) -> bytes:
    return next(content for name, content in boxes(data) if name == kind)


def extents(iloc: bytes) -> dict[int, list[tuple[int, int]]]:
    """Where each item's data are: offset and length of its pieces."""
    version, sizes = iloc[0], struct.unpack_from(">H", iloc, 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    at = 6
    id_size = 4 if version == 2 else 2

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(iloc[at - size : at])

    found = {}
    for _ in range(number(id_size)):
        item = number(id_size)
        if version > 0 and number(2) & 15 != 0:
            raise ValueError("an item whose data are not in the file itself")
        number(2)  # of another file
        base = number(base_size)
        pieces = []
        for _ in range(number(2)):
            if version > 0:
                number(index_size)
            offset = base + number(offset_size)
            pieces.append((offset, number(length_size)))
        found[item] = pieces
    return found


def primary_item(file: bytes) -> Item:
    """A file's picture with the properties that decoding takes: its configuration and size."""
    meta = child(file, b"meta")[META_HEAD:]
    primary = struct.unpack_from(">H", child(meta, b"pitm"), 4)[0]
    kinds = {}
    for _, entry in boxes(child(meta, b"iinf")[6:]):
        item, _, kind = struct.unpack_from(">HH4s", entry, 4)
        kinds[item] = kind
    properties = list(boxes(child(child(meta, b"iprp"), b"ipco")))
    ipma = child(child(meta, b"iprp"), b"ipma")
    used = []
    at = 8
    while at < len(ipma):
        item, count = struct.unpack_from(">HB", ipma, at)
        indices = [index & 127 for index in ipma[at + 3 : at + 3 + count]]
        at += 3 + count
        if item == primary:
            used = [properties[index - 1] for index in indices]
    size = next(struct.unpack_from(">II", content, 4) for kind, content in used if kind == b"ispe")
    data = b"".join(
        file[offset : offset + length]
        for offset, length in extents(child(meta, b"iloc"))[primary]
    )
    kept = tuple(box(kind, content) for kind, content in used if kind not in (b"irot", b"imir"))
    return Item(kinds[primary], data, kept, size)


def grid(
    tiles: Sequence[Item], columns: int, size: tuple[int, int], canvas: tuple[int, int] | None = None
) -> Item:
    """The item that puts tiles side by side; `canvas` is what its data say where that differs."""
    rows = len(tiles) // columns
    data = bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", *(canvas or size))
    spatial = full_box(b"ispe", 0, 0, struct.pack(">II", *size))
    return Item(b"grid", data, (spatial,), size)


def rotated(item: Item, quarters: int) -> Item:
    """Turned anticlockwise."""
    return item._replace(properties=(*item.properties, box(b"irot", bytes([quarters]))))


def mirrored(item: Item, axis: int) -> Item:
    return item._replace(properties=(*item.properties, box(b"imir", bytes([axis]))))


def cropped(item: Item, size: tuple[int, int], centre_offset: tuple[int, int]) -> Item:
    """With a clean aperture."""
    (width, height), (right, down) = size, centre_offset
    fields = struct.pack(">IIIIiIiI", width, 1, height, 1, right, 1, down, 1)
    return item._replace(properties=(*item.properties, box(b"clap", fields)))


def write_heif(
    items: Sequence[Item],
    *,
    primary: int = 0,
    brand: bytes,
    compatible: Sequence[bytes],
    references: Sequence[tuple[bytes, int, Sequence[int]]] = (),
    more_items: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A file of items, numbered from 0 as `primary` and `references` (type, from, to) name them.
    `more_items` are without properties (type, data): EXIF."""
    all_properties = sorted({prop for item in items for prop in item.properties})
    contents = [(item.kind, item.data) for item in items] + list(more_items)
    associations = b""
    for number, item in enumerate(items):
        indices = [all_properties.index(prop) + 1 for prop in item.properties]
        essential = [prop[4:8] in (b"hvcC", b"av1C", b"irot", b"imir", b"clap") for prop in item.properties]
        associations += struct.pack(">HB", number + 1, len(indices))
        associations += bytes(index | needed << 7 for index, needed in zip(indices, essential))
    entries = [
        full_box(b"infe", 2, int(number >= len(items)), struct.pack(">HH4s", number + 1, 0, kind), b"\0")
        for number, (kind, _) in enumerate(contents)
    ]
    refs = [
        box(kind, struct.pack(f">HH{len(to)}H", source + 1, len(to), *(n + 1 for n in to)))
        for kind, source, to in references
    ]
    head = box(b"ftyp", brand, bytes(4), *compatible)

    def meta(data_at: int) -> bytes:
        locations, at = b"", data_at
        for number, (_, data) in enumerate(contents):
            locations += struct.pack(">HHHII", number + 1, 0, 1, at, len(data))
            at += len(data)
        return full_box(
            b"meta", 0, 0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", primary + 1)),
            full_box(b"iloc", 0, 0, struct.pack(">HH", 0x4400, len(contents)), locations),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(entries)), *entries),
            full_box(b"iref", 0, 0, *refs) if refs else b"",
            box(
                b"iprp",
                box(b"ipco", *all_properties),
                full_box(b"ipma", 0, 0, struct.pack(">I", len(items)), associations),
            ),
        )  # fmt: skip

    data_at = len(head) + len(meta(0)) + 8
    return head + meta(data_at) + box(b"mdat", *(data for _, data in contents))
