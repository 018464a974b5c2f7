"""Small JPEG pictures of image files, as data: URIs that a page holds in itself."""

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

SIDE = 240  # pixels, the longer one


def thumbnail(path: Path) -> str | None:
    """Give a file's picture as a viewer shows it (EXIF orientation applied), or None if it cannot
    be read here; the files are other people's, so that is no error of the page's.
    """
    try:
        with Image.open(path) as image:
            # For JPEG, decode no more detail than twice what is kept.
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=None)
            upright = ImageOps.exif_transpose(image)
            if upright.mode not in ("RGB", "L"):
                layers = Image.new("RGBA", upright.size, "white")
                layers.alpha_composite(upright.convert("RGBA"))
                upright = layers.convert("RGB")
            jpeg = io.BytesIO()
            upright.save(jpeg, "JPEG", quality=80, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
