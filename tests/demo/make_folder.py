#!/usr/bin/python3
"""Make the folder of small pictures that test_demo.sh shows to the demo: two pairs, two pictures
that stand alone, two files that are no pictures, and names that have to be quoted somewhere.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))
from make_copies import save_jpeg, scaled  # noqa: E402


def scene(seed: int) -> Image.Image:
    """Draw something as soft and as uneven as a photograph; another for every seed."""
    chance = random.Random(seed)
    image = Image.new("RGB", (320, 240), (chance.randrange(256), 128, chance.randrange(256)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, size = chance.randrange(320), chance.randrange(240), chance.randrange(20, 90)
        draw.ellipse((x - size, y - size, x + size, y + size), tuple(chance.choices(range(256), k=3)))
    return image.filter(ImageFilter.GaussianBlur(6))


def main() -> None:
    folder = Path(sys.argv[1])
    inner = folder / "second folder"
    inner.mkdir(parents=True)

    save_jpeg(scene(1), folder / "am See, früh.jpg")
    save_jpeg(scaled(scene(1), 1 / 2), inner / 'am "See" (1).JPEG')
    save_jpeg(scene(2), folder / "雪山.jpg")
    scene(2).convert("L").save(folder / "<img src=x onerror=alert(1)> & it's.png")
    save_jpeg(scene(3), folder / "alone.jpg")
    save_jpeg(scene(4), folder / "two\nlines.jpg")

    whole = (folder / "alone.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "letter.jpg").write_text("Dear editor, the picture is on its way.\n")
    (folder / "notes.txt").write_text("not listed: its name is not an image's\n")


if __name__ == "__main__":
    main()
