"""Encoded picture files → RGB frames, under bounded memory; a bad file gives a reason, never an exception.

Six formats are ever tried, by content and not by name: JPEG, PNG, GIF, WebP, BMP, TIFF. One rule for every model:
orientation as EXIF says, transparency over white, 16 bits cut to their upper 8, CMYK by Pillow's plain formula,
colour profiles ignored. An animation that breaks off counts up to there; a picture is broken if its first frame is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from engine.records import U8

if TYPE_CHECKING:
    from PIL.Image import Image

DECODE_VERSION = 1  # part of every image fingerprint: raise it with any change here that may change a pixel

Reason = Literal[
    "image is null",
    "image is empty",
    "image is too large (bytes)",
    "image is enormous (pixels)",
    "image is a sliver (sides)",
    "image is of an unknown format",
    "image is broken",
]

_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_PLAIN = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV")
_CLEAR = ("RGBA", "RGBa", "LA", "La", "PA")
_ORIENTATION = 274  # the EXIF tag
_MOST_FRAMES = 1_000  # a file of 20 MB has room for a million, and finding them takes minutes
_MOST_PIXELS = 178_956_970  # where Pillow itself refuses, whatever the user allows


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may cost. Every field decides which pictures get a score, so all are in the fingerprint.

    bytes : of the encoded file. pixels : width × height, at most 178,956,970.
    ratio : longer side over shorter; a processor that scales the shorter side up multiplies memory by it.
    animation : pixels decoded on the way to the chosen frames of an animation; frames beyond it, or beyond the
        first 1,000, are not looked at.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000
    ratio: int = 100
    animation: int = 100_000_000

    def __post_init__(self) -> None:
        if min(self.bytes, self.pixels, self.ratio, self.animation) < 1 or self.pixels > _MOST_PIXELS:
            raise ValueError(f"{self}: limits are at least 1, pixels at most {_MOST_PIXELS}")


def check_picture(data: bytes | None, limits: PictureLimits) -> Reason | None:
    """Say why a picture cannot be scored, None where `read_picture` would read it.

    Cheaper than reading where it can be: a JPEG is decoded at an eighth of its size.
    """
    opened = _open(data, limits)
    if isinstance(opened, str):
        return opened
    if opened.format in ("JPEG", "MPO"):
        opened.draft("RGB", (1, 1))
    return None if _load(opened) and _is_known(opened) else _why_not(opened)


def read_picture(data: bytes | None, limits: PictureLimits, most: int) -> Iterator[Image] | Reason:
    """Return the RGB frames of a picture, or why there are none.

    most : of an animation or a file of several pages that many frames are read, evenly spaced from the first to
        the last. Each is decoded when the iterator gets there: whoever drops a frame before taking the next holds one.
    """
    opened = _open(data, limits)
    if isinstance(opened, str):
        return opened
    if not (_load(opened) and _is_known(opened)):
        return _why_not(opened)
    first = _as_rgb(opened)
    if first is None:
        return "image is broken"
    if opened.format in ("JPEG", "MPO") or most == 1:  # what a camera adds to a JPEG are depth maps and previews
        return iter((first,))
    return chain((first,), _later_frames(opened, limits, most))


def spaced(frames: int, most: int) -> list[int]:
    """Return which of `frames` are read: at most `most`, evenly spaced, the first and the last among them."""
    if frames <= most:
        return list(range(frames))
    return [i * (frames - 1) // max(most - 1, 1) for i in range(most)]


def _open(data: bytes | None, limits: PictureLimits) -> Image | Reason:
    """Read the header only."""
    from PIL import Image

    if data is None:
        return "image is null"
    if not data:
        return "image is empty"
    if len(data) > limits.bytes:
        return "image is too large (bytes)"
    _ignore_warnings()
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError:
        return "image is enormous (pixels)"
    except Exception:  # decoders fed with hostile bytes raise whatever they like; the reason is counted
        return "image is broken" if data.startswith(_STARTS) else "image is of an unknown format"
    return _wrong_size(image, limits) or image


def _wrong_size(image: Image, limits: PictureLimits) -> Reason | None:
    width, height = image.size
    if min(width, height) < 1:
        return "image is broken"
    if width * height > limits.pixels:
        return "image is enormous (pixels)"
    return "image is a sliver (sides)" if max(width, height) > limits.ratio * min(width, height) else None


def _load(image: Image) -> bool:
    try:
        image.load()
    except Exception:  # as in _open
        return False
    return True


def _is_known(image: Image) -> bool:
    return image.mode in (*_PLAIN, *_CLEAR, *_SIXTEEN_BITS)


def _why_not(image: Image) -> Reason:
    return "image is broken" if _is_known(image) else "image is of an unknown format"


def _later_frames(image: Image, limits: PictureLimits, most: int) -> Iterator[Image]:
    """Yield the chosen frames after the first, up to where the file breaks off."""
    try:
        chosen = spaced(_count_frames(image, limits), most)[1:]
    except Exception:  # as in _open
        return
    for number in chosen:
        try:
            image.seek(number)
        except Exception:  # as in _open
            return
        if _wrong_size(image, limits) or not _load(image) or not _is_known(image):
            return
        frame = _as_rgb(image)
        if frame is None:
            return
        yield frame
        del frame  # before the next is decoded


def _count_frames(image: Image, limits: PictureLimits) -> int:
    """Return how many frames there are, up to where the limits end or the file breaks off."""
    most = min(_MOST_FRAMES, max(1, limits.animation // (image.width * image.height)))
    if image.format in ("PNG", "WEBP"):  # their headers say it
        return min(most, int(getattr(image, "n_frames", 1)))
    count = 1
    try:
        while count < most:
            image.seek(count)
            count += 1
    except Exception:  # as in _open; EOFError after the last frame
        pass
    image.seek(0)
    return count


def _as_rgb(image: Image) -> Image | None:
    """Convert a decoded frame by the rules of this file, into an image of its own."""
    from PIL import Image

    try:
        if image.mode in _SIXTEEN_BITS:
            rgb = Image.fromarray(_upper_bits(image)).convert("RGB")
        elif image.has_transparency_data:
            clear = image.convert("RGBA")
            rgb = Image.new("RGB", image.size, "white")
            rgb.paste(clear, mask=clear)
        else:
            rgb = image.convert("RGB")
        turn = _turn(image)
        return rgb if turn is None else rgb.transpose(turn)
    except Exception:  # as in _open: a palette or a colour space that does not hold what it says
        return None


def _upper_bits(image: Image) -> U8:
    import numpy as np

    value: U8 = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
    return value


def _turn(image: Image) -> Any:
    """Return the transposition that EXIF asks for, None where it asks for none or cannot be read."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        return turns.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken metadata does not break a picture: every viewer shows it
        return None


def _ignore_warnings() -> None:
    """Keep Pillow from printing, or from raising where warnings are errors: this file has a rule for each case."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
