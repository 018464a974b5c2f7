#!/usr/bin/env python3
"""Cut JPEGs out of photographs, all different.

    make_images.py FOLDER COUNT WIDTH HEIGHT PHOTO...
"""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

folder, (count, width, height) = sys.argv[1], map(int, sys.argv[2:5])
photos = [Image.open(name).convert("RGB") for name in sys.argv[5:8]]


def make(number: int) -> None:
    rng = random.Random(number)
    photo = photos[number % len(photos)]
    share = rng.uniform(0.3, 0.9)
    size = (photo.width * share, photo.height * share)
    left, top = (rng.uniform(0, whole - part) for whole, part in zip(photo.size, size))
    box = (left, top, left + size[0], top + size[1])
    cut = photo.resize((width, height), Image.Resampling.BICUBIC, box)
    cut.save(f"{folder}/{number:06}.jpg", quality=90)


with ThreadPoolExecutor() as threads:
    list(threads.map(make, range(count)))
