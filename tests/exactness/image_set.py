"""The folder of test images: writes the files and hands out pictures, the same on every machine."""

import itertools
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

import pictures
from pictures import Painter

ODD_SIZES = [(37, 53), (101, 67), (64, 48), (131, 97), (17, 19), (113, 150), (33, 31), (9, 77)]
SMALL_SIZES = [(37, 53), (64, 48), (17, 19), (57, 35), (33, 31), (41, 29), (9, 77)]
CONTENTS: list[Painter] = [pictures.scene, pictures.clouds, pictures.gradient, pictures.shapes]


class ImageSet:
    """Writes the files and hands out sizes and contents in turn, so that every kind varies."""

    def __init__(
        self,
        folder: Path,
        *,
        sizes: list[tuple[int, int]] = ODD_SIZES,
        seed: int = 0,
        encoder: Path = Path(),
        photos: Path = Path(),
    ) -> None:
        self.folder = folder
        self.encoder = encoder  # of JPEGs
        self.photos = photos
        self.sizes = itertools.cycle(sizes)
        self.contents = itertools.cycle(CONTENTS)
        self.seed = seed

    def paint(
        self, size: tuple[int, int] | None = None, painter: Painter | None = None
    ) -> np.ndarray:
        """A picture; its seed follows from the pictures before it."""
        width, height = size or next(self.sizes)
        paint = painter or next(self.contents)
        self.seed += 1
        return paint(np.random.default_rng(self.seed), width, height)

    def save(self, name: str, data: bytes) -> None:
        path = self.folder / name
        if path.exists():
            raise FileExistsError(path)
        path.write_bytes(data)

    def photo(self, name: str) -> Image.Image:
        return Image.open(self.photos / name).convert("RGB")

    def jpeg(self, samples: np.ndarray, **options: str | int) -> bytes:
        """Encodes with encode_jpeg, whose head explains the options."""
        height, width = samples.shape[:2]
        components = 1 if samples.ndim == 2 else samples.shape[2]
        arguments = [str(self.encoder), str(width), str(height), str(components)]
        arguments += [f"{key}={value}" for key, value in options.items()]
        return subprocess.run(
            arguments, input=samples.tobytes(), capture_output=True, check=True
        ).stdout


def icc_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]  # without the time of its making
