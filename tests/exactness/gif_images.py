"""The GIFs of the exactness test."""

import numpy as np

import pictures
from bmp_images import reduced
from gif_writer import comment, frame, graphic_control, write_gif
from image_set import ImageSet


def colours(images: ImageSet) -> None:
    for entries, code_size in ((2, 2), (4, 2), (8, 3), (16, 4), (32, 5), (128, 7), (256, 8)):
        for interlaced in (False, True):
            indices, palette = reduced(images.paint(), entries)
            data = frame(indices, code_size=code_size, interlaced=interlaced)
            name = f"gif-palette_{entries}{'-interlaced' if interlaced else ''}.gif"
            images.save(name, write_gif(indices.shape[1::-1], [data], palette=palette))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for name, palette in (
        ("ramp", ramp), ("short-ramp", ramp[:64]), ("none", None), ("reversed", ramp[::-1]),
    ):  # fmt: skip
        indices = pictures.grey(images.paint())
        data = write_gif(indices.shape[1::-1], [frame(indices)], palette=palette)
        images.save(f"gif-grey_{name}.gif", data)
    # Indices beyond the palette are black.
    indices, palette = reduced(images.paint(), 32)
    data = write_gif(indices.shape[1::-1], [frame(indices)], palette=palette[:16])
    images.save("gif-palette_beyond.gif", data)


def frames(images: ImageSet) -> None:
    """Where the first frame lies, and what is around it."""
    for name, screen, at, transparent in (
        ("inside", (60, 50), (7, 9), None),
        ("inside-transparent", (60, 50), (7, 9), 3),
        ("corner", (50, 60), (0, 0), 11),
        ("beyond", (30, 20), (5, 4), None),
        ("beyond-transparent", (30, 70), (5, 30), 200),
        ("no-screen", (0, 0), (0, 0), None),
    ):
        indices, palette = reduced(images.paint((41, 29)), 16)
        control = [graphic_control(transparent, disposal=2)] if transparent is not None else []
        blocks = [*control, frame(indices, at=at, code_size=4)]
        images.save(f"gif-frame_{name}.gif", write_gif(screen, blocks, palette=palette))
    indices, palette = reduced(images.paint((41, 29)), 16)
    other = pictures.grey(images.paint((16, 1)))[0].repeat(3).reshape(16, 3)
    for name, interlaced in (("local", False), ("local-interlaced", True)):
        data = frame(indices, at=(3, 3), palette=palette, code_size=4, interlaced=interlaced)
        images.save(f"gif-frame_{name}.gif", write_gif((47, 40), [data], palette=other))
    data = frame(indices, palette=palette, code_size=4)
    images.save("gif-frame_local-only.gif", write_gif((41, 29), [data]))
    for name, transparent in (("animated", None), ("animated-transparent", 5)):
        indices, palette = reduced(images.paint((41, 29)), 16)
        second, _ = reduced(images.paint((20, 10)), 16)
        blocks = [
            b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0",
            graphic_control(transparent, disposal=1),
            frame(indices, code_size=4),
            graphic_control(3),
            frame(second, at=(5, 5), code_size=4),
        ]
        data = write_gif((41, 29), blocks, palette=palette, background=7)
        images.save(f"gif-frame_{name}.gif", data)


def coding(images: ImageSet) -> None:
    indices, palette = reduced(images.paint((90, 110), pictures.noise), 256)
    for name, options in {
        "full-table-cleared": {},
        "full-table-kept": {"full_table": True},
        "clear-often": {"clear_every": 17},
        "small-blocks": {"block_size": 3},
    }.items():
        data = write_gif((90, 110), [frame(indices, **options)], palette=palette)
        images.save(f"gif-coding_{name}.gif", data)
    indices, palette = reduced(images.paint(), 16)
    blocks = [comment(b"first" * 90), b"!\x01\x02ab\0", frame(indices, code_size=4), comment(b"x")]
    size = indices.shape[1::-1]
    images.save("gif-coding_extensions.gif", write_gif(size, blocks, palette=palette))
    data = write_gif(size, [frame(indices)], palette=palette, version=b"GIF87a")
    images.save("gif-coding_87a.gif", data)
    data = write_gif(size, [b"\0\0", frame(indices, code_size=4)], palette=palette)
    images.save("gif-coding_stray-zeros.gif", data + b"what follows")


def sizes(images: ImageSet) -> None:
    for width, height in ((1, 1), (2, 3), (1, 19), (23, 1), (5, 8), (300, 2), (3, 400)):
        indices, palette = reduced(images.paint((width, height)), 64)
        data = frame(indices, code_size=6, interlaced=height > 7)
        data = write_gif((width, height), [data], palette=palette)
        images.save(f"gif-size_{width}x{height}.gif", data)


def make(images: ImageSet) -> None:
    for part in (colours, frames, coding, sizes):
        part(images)
