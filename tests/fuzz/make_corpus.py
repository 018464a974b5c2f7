#!/usr/bin/env python3
"""Makes what fuzzing starts from: a folder of inputs for each target in tests/fuzz.

Those of the codecs are the images of the exactness test (tests/data/README.md), without photographs
and large ones; the others are written here, in the form that the target's file describes.
"""

import argparse
import itertools
import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

FORMATS = ["jpeg", "png", "webp", "tiff", "gif", "bmp"]
PLUGIN_FORMATS = ["heic", "avif", "raw"]
LARGEST_IMAGE = 20_000  # bytes: the smaller an input, the more are tried a second

HELLO, BEGIN_HASH, BEGIN_PAIRS, DATA, END, RESULT, DONE, ERROR, BEGIN_GROUPS, ASK, PROGRESS = range(
    1, 12
)
BEGIN_IMAGES, IMAGE, BEGIN_DEVICES, ASK_DEVICE = range(12, 16)
BEGIN_PICTURES, ARENA, FREE_PART, BATCH, PICTURES = range(18, 23)

Seeds = Iterator[tuple[str, bytes]]


def images_of(folder: Path, prefix: str) -> list[Path]:
    """The images of a format that are small enough, in a fixed order."""
    return sorted(
        path
        for path in folder.glob(f"{prefix}-*")
        if "-photo_" not in path.name and path.stat().st_size <= LARGEST_IMAGE
    )


def one_of_each_kind(images: Path) -> Seeds:
    """One image of each kind, and the first bytes of formats that are known but not read."""
    for name in FORMATS:
        for kind, paths in itertools.groupby(
            images_of(images, name), key=lambda path: path.name.split("_")[0]
        ):
            yield kind, next(paths).read_bytes()
    for brand in (b"heic", b"mif1", b"avif", b"crx "):
        yield f"brand-{brand.decode().strip()}", b"\0\0\0\x18ftyp" + brand + bytes(12)
    for magic in (b"IIRO", b"IIU\0", b"FUJIFILMCCD-RAW ", b"FOVb", b"\0MRM", b"II*\0\x10\0\0\0CR\2"):
        yield f"magic-{magic[:4].hex()}", magic + bytes(16)


# --- EXIF -----------------------------------------------------------------------------------------


def directory(order: str, entries: list[tuple[int, int, int, bytes]], *, at: int = 8) -> bytes:
    """A TIFF header and a directory of entries: tag, type, count and 4 bytes."""
    mark = b"II" if order == "<" else b"MM"
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return (
        mark
        + struct.pack(order + "HI", 42, at)
        + bytes(at - 8)
        + struct.pack(order + "H", len(entries))
        + body
        + bytes(4)
    )


def exif_seeds() -> Seeds:
    orientation = 0x0112
    xmps = [
        b"",
        b'<rdf:Description tiff:Orientation="6"/>',
        b"<tiff:Orientation>8</tiff:Orientation>",
        b'tiff:Orientation tiff:Orientation="9" tiff:Orientation=""',
    ]
    for order in "<>":
        short = struct.pack(order + "HH", 6, 0)
        far = struct.pack(order + "I", 26)
        exifs = {
            "none": b"",
            "short": directory(order, [(orientation, 3, 1, short)]),
            "long": directory(order, [(orientation, 4, 1, struct.pack(order + "I", 3))]),
            "far": directory(order, [(orientation, 4, 2, far)]) + struct.pack(order + "II", 8, 1),
            "several": directory(
                order, [(0x010F, 2, 4, b"abc\0"), (orientation, 3, 1, short)] * 2, at=16
            ),
            "byte": directory(order, [(orientation, 1, 4, b"\x06\0\0\0")]),
            "out-of-range": directory(order, [(orientation, 9, 1, struct.pack(order + "i", -1))]),
            "prefixed": b"Exif\0\0Exif\0\0" + directory(order, [(orientation, 8, 1, short)]),
        }
        for (name, exif), (number, xmp) in itertools.product(exifs.items(), enumerate(xmps)):
            yield f"{name}-{'le' if order == '<' else 'be'}-{number}", (
                struct.pack("<H", len(exif)) + exif + xmp
            )


# --- Resampler ------------------------------------------------------------------------------------


def resample_seeds() -> Seeds:
    max_side, max_pixels = 9000, 1 << 15
    sizes = [(1, 1), (8, 8), (9, 8), (32, 32), (31, 33), (64, 500), (257, 120), (900, 35),
             (3000, 10), (4096, 8), (9000, 3)]  # fmt: skip
    contents = [b"\0", b"\xff", b"\0\xff", b"\xff\xff\xff\0\0\0", bytes(range(256)), b"\0" * 37 + b"\xff"]
    for (width, height), (number, content) in itertools.product(sizes, enumerate(contents)):
        most = min(max_side, max_pixels // width)
        height_bytes = struct.pack("<B" if most - 1 < 256 else "<I", height - 1)
        turned = (width + number) % 2
        yield f"{width}x{height}-{number}", (
            struct.pack("<I", width - 1) + height_bytes + bytes([turned, 0, 15, 6, 40]) + content
        )


# --- The protocol ---------------------------------------------------------------------------------


def frame(operation: int, request: int, payload: bytes = b"", status: int = 0) -> bytes:
    return struct.pack("<4sIHHI", b"VMH1", len(payload), operation, status, request) + payload


def data(request: int, payload: bytes, part: int = 1 << 20) -> bytes:
    """A payload in DATA frames, and END."""
    parts = [payload[at : at + part] for at in range(0, len(payload), part)]
    return b"".join(frame(DATA, request, part) for part in parts) + frame(END, request)


def settings(method: int = 0, memory: int = 1 << 25, pairs: int = 5000) -> bytes:
    devices = struct.pack("<QQIiBB6x", 1 << 30, 100_000, 1, -1, 1, 2)
    return struct.pack("<QQII", memory, pairs, 1, method) + devices


def packed(rows: list[list[int]]) -> bytes:
    return b"".join(struct.pack(f"<{len(row)}Q", *row) for row in rows)


def similar_rows(count: int, columns: int, seed: int) -> list[list[int]]:
    """Rows of which many lie near another one."""
    rng = random.Random(seed)
    base = [[rng.getrandbits(64) for _ in range(columns)] for _ in range(max(1, count // 4))]
    return [
        [value ^ (1 << rng.randrange(64)) * rng.randrange(2) for value in rng.choice(base)]
        for _ in range(count)
    ]


def grouped_rows(hashes: list[int], threshold: int) -> list[int]:
    return [
        a
        for a, x in enumerate(hashes)
        if any(a != b and (x ^ y).bit_count() <= threshold for b, y in enumerate(hashes))
    ]


def arena(size: int, parts: int, batch: int = 1024, waits: int = 0, kept: int = 0) -> bytes:
    return struct.pack("<QIIIIII", size, parts, batch, waits, 1, kept, 0)


def picture(offset: int, width: int, height: int, jpeg: bytes = bytes(12)) -> bytes:
    return struct.pack("<QII", offset, width, height) + jpeg + bytes(4)


def images_seeds(images: Path) -> Seeds:
    """Requests for many images, with and without an arena, and for pictures."""
    decode, compute = b"\0", b"\1"
    files = [
        min(images_of(images, name), key=lambda p: p.stat().st_size).read_bytes()
        for name in FORMATS
    ]

    def image(number: int, content: bytes, flags: int) -> bytes:
        header = struct.pack("<IIQ", number, flags, len(content))
        first, rest = content[:1000], content[1000:]
        frames = frame(IMAGE, 8, header + first)
        return frames + (frame(DATA, 8, rest) if rest else b"")

    begin = frame(BEGIN_IMAGES, 8, struct.pack("<IIIIQQ", 31, 0, 1, 0, 1 << 19, 19_999))
    for flags, waits, kept in itertools.product((0, 2), (0, 1), (0, 1)):
        given = frame(ARENA, 8, arena(3 << 16, 3, 2, waits, kept)) if flags else b""
        request = begin + given
        for number, content in enumerate(files):
            request += image(number, content, flags)
        request += frame(END, 8)
        yield f"images-{flags}-{waits}-{kept}", decode + request
        if kept:
            yield f"images-{flags}-{waits}-twice", decode + (request * 2)[:30_000]
    given = frame(ARENA, 8, arena(1 << 14, 1))
    freed = frame(FREE_PART, 8, struct.pack("<II", 0, 0))
    yield "images-freed", decode + begin + given + image(0, files[0], 2) + freed + frame(END, 8)
    yield "images-arena-last", decode + begin + image(0, files[0], 2) + given + frame(END, 8)
    yield "images-none", decode + begin + frame(END, 8)
    yield "images-two-arenas", decode + begin + given * 2 + frame(END, 8)

    devices = struct.pack("<QQIiBB6x", 1 << 30, 100_000, 1, -1, 1, 2)
    jpeg = struct.pack("<BBBB4B4B", 1, 1, 6, 0, 2, 1, 1, 1, 2, 1, 1, 1)
    pictures = [picture(0, 9, 9), picture(128, 16, 16, jpeg), picture(1 << 20, 1, 1)]
    batch = struct.pack("<II", 0, len(pictures)) + b"".join(pictures)
    for use in (1, 2):
        settings_of = devices[:16] + struct.pack("<I", use) + devices[20:]
        request = frame(BEGIN_PICTURES, 8, settings_of + struct.pack("<II", 31, 0))
        request += frame(ARENA, 8, arena(1 << 16, 2)) + frame(PICTURES, 8, batch) * 2
        yield f"pictures-{use}", compute + (request + frame(END, 8)) * 2


def request_seeds(images: Path) -> Seeds:
    yield from images_seeds(images)
    decode, compute = b"\0", b"\1"
    small = {name: min(images_of(images, name), key=lambda p: p.stat().st_size) for name in FORMATS}
    requests = b""
    for number, (name, path) in enumerate(small.items(), 1):
        begin = frame(BEGIN_HASH, number, struct.pack("<IIQQ", 31, number % 4, 1 << 19, 19_999))
        request = begin + data(number, path.read_bytes(), 100)
        requests += request
        yield f"hash-{name}", decode + request
    yield "hash-all", decode + requests[:30_000]
    begin = frame(BEGIN_HASH, 7, struct.pack("<IIQQ", 1, 0, 10, 100))
    yield "hash-too-large", decode + begin + data(7, b"BM" + bytes(100))
    yield "hash-no-image", decode + begin + data(7, b"hello")
    yield "hash-nothing", decode + begin + data(7, b"")
    yield "hash-of-compute", compute + begin + data(7, b"hello")

    devices = frame(BEGIN_DEVICES, 2) + data(2, b"")
    yield "devices", compute + devices * 2
    yield "devices-of-decode", decode + devices
    yield "devices-with-parameters", compute + frame(BEGIN_DEVICES, 2, b"cuda") + data(2, b"")

    for columns, sets, method, count in itertools.product((1, 3), (1, 2), (0, 1, 2, 3), (0, 40)):
        thresholds = bytes([5, 30, 64, 0, 0, 0, 0, 0])
        params = settings(method) + struct.pack("<II", columns, sets) + thresholds
        request = frame(BEGIN_PAIRS, 3, params)
        for number in range(sets):
            request += data(3, packed(similar_rows(count, columns, number)), 24 * 5)
        yield f"pairs-{columns}-{sets}-{method}-{count}", compute + request * 2
    params = settings(1, memory=9 << 20) + struct.pack("<II8s", 1, 1, bytes([5]))
    rows = packed(similar_rows(3000, 1, 5))
    yield "pairs-in-passes", compute + frame(BEGIN_PAIRS, 4, params) + data(4, rows)
    params = settings(0, pairs=0) + struct.pack("<II8s", 1, 1, bytes([64]))
    yield "pairs-too-many", compute + frame(BEGIN_PAIRS, 4, params) + data(4, rows[:4000])

    for method, threshold, count in itertools.product((0, 1, 2), (0, 4), (1, 30)):
        hashes = [row[0] for row in similar_rows(count, 1, method)]
        asked = grouped_rows(hashes, threshold)
        ranks = [(row * 7) % 31 + 1 for row in asked]
        begin = frame(BEGIN_GROUPS, 9, settings(method % 2) + struct.pack("<II", threshold, method))
        answer = data(9, struct.pack(f"<{len(ranks)}I", *ranks), 16) if asked else b""
        request = begin + data(9, packed([[value] for value in hashes])) + answer
        yield f"groups-{method}-{threshold}-{count}", compute + request * 2


def report(left: int, right: int, results: int, device: bytes = b"", fallback: bytes = b"") -> bytes:
    words = struct.pack("<12s96s", b"avx2", b"2 parts of 32 bits")
    on_device = struct.pack("<QdIIII", 1 << 20, 0.5, 3, len(fallback) > 0, len(device) > 0, 0)
    if not device:
        on_device = bytes(len(on_device))
    return struct.pack("<10Q4dI", results, left, right, left, right, 1, 2, 3, 1, 1 << 20,
                       0.1, 0.2, 0.3, 0.4, 2) + words + on_device + struct.pack(
                           "<128s200s", device, fallback)  # fmt: skip


def progress(phase: int, done: int, total: int, device: bytes = b"") -> bytes:
    numbers = struct.pack("<IIQQQQd", phase, 0, done, total, 7, 3, -1.0)
    return frame(PROGRESS, 5, numbers + struct.pack("<128s", device))


def device(backend: bytes, number: int, usable: int, reason: bytes = b"") -> bytes:
    return struct.pack("<8siIQQ96s48s64s200s", backend, number, usable, 1 << 33, 1 << 32,
                       b"A Device", b"9.0", b"1.2.3", reason)  # fmt: skip


def member(row: int, group: int, size: int, distance: int, diameter: int, centre: int) -> bytes:
    return struct.pack("<IIIBBBx", row, group, size, distance, diameter, centre)


def image_record(number: int, status: int, hashed: int, part: int = 0, message: bytes = b"") -> bytes:
    head = struct.pack("<IHBBII", number, status, hashed, part, len(message), 0)
    result = struct.pack("<5QII8s", 1, 2, 3, 4, 5, 640, 480, b"jpeg")
    where = picture(64, 640, 480) if hashed == 2 else bytes(32)
    return head + result + where + message + bytes(-len(message) % 8)


def many_reply_seeds() -> Seeds:
    """Answers to many images, and to pictures."""

    def images_done(results: int) -> bytes:
        return frame(DONE, 5, struct.pack("<QQddII", results, 6, 0.1, 0.2, 2, 0))

    # An arena of 3 parts, 6 images, of which every third is a file.
    asked = b"\4\5" + bytes([3, 6, 2])
    first = image_record(0, 0, 2) + image_record(2, 1, 2, 0, b"half of it")
    second = image_record(1, 0, 1) + image_record(3, 2, 0, 0, b"bad") + image_record(5, 1, 0)
    third = image_record(4, 0, 2, 2)
    answer = frame(RESULT, 5, first) + frame(RESULT, 5, second)
    answer += frame(BATCH, 5, struct.pack("<II", 0, 2)) + frame(RESULT, 5, third)
    answer += frame(BATCH, 5, struct.pack("<II", 2, 1))
    yield "images", asked + answer + images_done(len(first) + len(second) + len(third))
    yield "images-early", asked + frame(RESULT, 5, first) + images_done(len(first))
    yield "images-none", b"\4\5" + bytes([0, 0, 0]) + images_done(0)
    yield "images-error", asked + answer + frame(ERROR, 5, b"out of memory", 100)

    ready = struct.pack("<128s200sQ192s", b"cuda 0: A Device", b"", 1 << 34, b"no decoder")
    hashes = b"".join(struct.pack("<II5Q", status, 0, 1, 2, 3, 4, 5) for status in (0, 1, 2, 3))
    done = struct.pack("<QQQQdII200s", len(ready) + 2 * len(hashes), 2, 2, 4096, 0.5, 1, 1, b"lost")
    asked = b"\5\5" + struct.pack("<I", 8)
    answer = frame(ASK_DEVICE, 5) + frame(RESULT, 5, ready) + frame(RESULT, 5, hashes) * 2
    yield "pictures", asked + answer + frame(DONE, 5, done)
    done = struct.pack("<QQQQdII200s", len(ready) + 2 * len(hashes), 2, 2, 4096, 0.5, 2, 1, b"lost")
    yield "pictures-two-failures", asked + answer + frame(DONE, 5, done)
    none = struct.pack("<128s200sQ192s", b"", b"no device", 1 << 34, b"")
    done = struct.pack("<QQQQdII200s", len(none), 0, 0, 0, 0, 0, 0, b"")
    yield "pictures-no-device", b"\5\5" + bytes(4) + frame(RESULT, 5, none) + frame(DONE, 5, done)


def reply_seeds() -> Seeds:
    yield from many_reply_seeds()
    hello = frame(HELLO, 0, struct.pack("<I24sI", 4, b"0.1.0", 3))
    hashes = struct.pack("<5QII8s", 1, 2, 3, 4, 5, 640, 480, b"jpeg")
    yield "hash", b"\0\5" + hello + frame(RESULT, 5, hashes) + frame(DONE, 5, struct.pack("<Q", 56))
    yield "hash-error", b"\0\5" + hello + frame(ERROR, 5, b"bad\nvery", 2)

    pairs = struct.pack("<IIBxxxIIBxxx", 0, 1, 3, 2, 5, 0)
    end = frame(DONE, 5, report(10, 0, len(pairs)))
    asked = b"\1\5" + bytes([0, 0, 5, 10])  # one column, one set, distance 5, 10 rows
    yield "pairs", asked + progress(1, 0, 0) + frame(RESULT, 5, pairs) + progress(3, 1, 9) + end
    on_device = frame(ASK_DEVICE, 5) + progress(3, 1, 9, b"cuda 0: A Device")
    end = frame(DONE, 5, report(10, 0, len(pairs), b"cuda 0: A Device", b"lost"))
    yield "pairs-on-device", asked + on_device + frame(RESULT, 5, pairs) + end
    devices = device(b"cpu", 0, 1) + device(b"opencl", 0, 0, b"too old") + device(b"cuda", -1, 0)
    done = frame(DONE, 5, struct.pack("<Q", len(devices)))
    yield "devices", b"\3\5" + hello + frame(RESULT, 5, devices) + done
    asked = b"\1\5" + bytes([1, 1, 5, 6, 10, 20])  # two columns, two sets
    pairs = struct.pack("<IIBBxx", 9, 19, 5, 6)
    end = frame(DONE, 5, report(10, 20, len(pairs)))
    yield "pairs-between", asked + frame(RESULT, 5, pairs) + end
    yield "pairs-error", asked + frame(RESULT, 5, pairs) + frame(ERROR, 5, b"too many", 103)

    rows = b"".join(struct.pack("<II", row, row // 3) for row in range(6))
    groups = b"".join(
        member(row, 1 + row // 3, 3, row % 3 and 2, 4, row % 3 == 0) for row in range(6)
    )
    for method in range(3):
        # Threshold 5, 8 rows; the key of a row is its number times 1, modulo 100.
        asked = b"\2\5" + bytes([5, method, 8, 99, 0])
        answer = frame(RESULT, 5, rows) + frame(ASK, 5) + progress(4, 0, 0)
        end = frame(DONE, 5, report(8, 0, len(rows) + len(groups)))
        yield f"groups-{method}", asked + answer + frame(RESULT, 5, groups) + end
    yield "groups-none", asked + frame(DONE, 5, report(8, 0, 0))
    # Keys that rows share.
    asked = b"\2\5" + bytes([5, 0, 8, 1, 0])
    yield "groups-ambiguous", asked + frame(RESULT, 5, rows) + frame(ASK, 5)


# --- Joins ----------------------------------------------------------------------------------------


def join_seeds() -> Seeds:
    rng = random.Random(1)
    for columns, two_sets, limits in itertools.product((0, 1, 2), (0, 1), (0, 1, 2)):
        for threshold in (0, 1, 3, 5, 8, 16, 64):
            head = bytes([columns, two_sets, threshold, 40, 60][: 3 + columns]) + bytes([limits])
            if limits == 1:
                head += struct.pack("<H", rng.randrange(1 << 16))
            elif limits == 2:
                head += struct.pack("<I", rng.randrange(1000))
            head += bytes([threshold % 3])
            if two_sets:
                head += bytes([40])
            rows = rng.choice((30, 150, 450))
            yield f"{columns}-{two_sets}-{limits}-{threshold}", head + rng.randbytes(rows)


def write(folder: Path, seeds: Seeds) -> None:
    for name, content in seeds:
        (folder / name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the inputs that fuzzing starts from.")
    parser.add_argument("--images", type=Path, nargs=2, required=True, help="the plugins' last")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    images, plugin_images = arguments.images
    targets = {
        name: ((path.name, path.read_bytes()) for path in images_of(folder, name))
        for folder, names in ((images, FORMATS), (plugin_images, PLUGIN_FORMATS))
        for name in names
    }
    targets |= {
        "image": one_of_each_kind(images),
        "exif": exif_seeds(),
        "resample": resample_seeds(),
        "requests": request_seeds(images),
        "replies": reply_seeds(),
        "join": join_seeds(),
    }
    for name, seeds in targets.items():
        folder = arguments.out / name
        folder.mkdir(parents=True)
        write(folder, seeds)


if __name__ == "__main__":
    main()
