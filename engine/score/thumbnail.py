"""A small picture of a picture, encoded anew: nothing of the file that an advertiser sent goes on, only its pixels."""

from __future__ import annotations

from io import BytesIO

from engine.score.pictures import PictureLimits, Reason, read_picture

SIDE = 160  # pixels of the longer side


def thumbnail(data: bytes | None, limits: PictureLimits) -> bytes | Reason:
    """Return a JPEG of the first frame of a picture, or why there is none. No profile, no metadata, no animation."""
    frames = read_picture(data, limits, most=1)
    if isinstance(frames, str):
        return frames
    frame = next(frames)
    frame.thumbnail((SIDE, SIDE))
    frame.info.clear()
    out = BytesIO()
    frame.save(out, "JPEG", quality=80)
    return out.getvalue()
