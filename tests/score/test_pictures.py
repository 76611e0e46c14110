"""Bytes of any kind → RGB frames, or a named reason. Every picture is made here."""

from __future__ import annotations

import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery import animate, encode, noise
from PIL import Image

from engine.score.pictures import PictureLimits, check_picture, read_picture, spaced

LIMITS = PictureLimits()
COLOURS = ["red", "lime", "blue", "black", "white", "yellow", "cyan", "magenta", "gray", "navy"]


def frames(data: bytes | None, limits: PictureLimits = LIMITS, most: int = 8) -> list[np.ndarray]:
    """Return the frames of a picture that can be read; the check must agree."""
    read = read_picture(data, limits, most)
    assert not isinstance(read, str), read
    assert check_picture(data, limits) is None
    made = list(read)
    assert all(frame.mode == "RGB" for frame in made)
    return [np.asarray(frame) for frame in made]


def reason(data: bytes | None, limits: PictureLimits = LIMITS) -> str:
    """Return why a picture cannot be read; the check must agree."""
    read = read_picture(data, limits, 8)
    assert isinstance(read, str)
    assert check_picture(data, limits) == read
    return read


def colours(data: bytes, most: int = 8, limits: PictureLimits = LIMITS) -> list[tuple[int, ...]]:
    return [tuple(frame[0, 0].tolist()) for frame in frames(data, limits, most)]


def rgb(name: str) -> tuple[int, ...]:
    return Image.new("RGB", (1, 1), name).getpixel((0, 0))  # type: ignore[return-value]


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png_of(width: int, height: int, rows: bytes) -> bytes:
    """A grey PNG with the header given, whatever its rows hold."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_plain_picture_keeps_every_pixel(kind: str) -> None:
    picture = noise(31, 17)
    assert np.array_equal(frames(encode(picture, kind))[0], np.asarray(picture))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {})])
def test_a_lossy_picture_is_what_pillow_decodes(kind: str, options: dict[str, Any]) -> None:
    data = encode(noise(61, 47), kind, **options)
    assert np.array_equal(frames(data)[0], np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def test_null_and_empty_pictures_are_told_apart() -> None:
    assert reason(None) == "image is null"
    assert reason(b"") == "image is empty"


@pytest.mark.parametrize("data", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_other_formats_are_not_tried(data: bytes) -> None:
    assert reason(data) == "image is of an unknown format"


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "JPEG2000", "PCX"])
def test_formats_that_pillow_could_read_are_not_tried_either(kind: str) -> None:
    assert reason(encode(noise(16, 16), kind)) == "image is of an unknown format"


def test_floating_point_pictures_are_of_an_unknown_format() -> None:
    data = encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    assert reason(data) == "image is of an unknown format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_picture_cut_anywhere_gives_a_reason_or_pixels_and_the_check_agrees(kind: str) -> None:
    data = encode(noise(40, 30), kind)
    verdicts = []
    for cut in np.linspace(1, len(data) - 1, 60).astype(int).tolist():
        read = read_picture(data[:cut], LIMITS, 8)
        verdicts.append(read if isinstance(read, str) else None)
        assert check_picture(data[:cut], LIMITS) == verdicts[-1]
        if not isinstance(read, str):
            assert [frame.size for frame in read] == [(40, 30)]
    assert verdicts.count("image is broken") > 40


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_flipped_bytes_never_raise_and_the_check_agrees(kind: str) -> None:
    whole = animate(COLOURS, kind) if kind in ("GIF", "WEBP", "TIFF", "PNG") else encode(noise(40, 30), kind)
    random = np.random.default_rng(3)
    for _ in range(150):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, len(data), 3)] = random.integers(0, 256, 3)
        read = read_picture(data.tobytes(), LIMITS, 8)
        assert check_picture(data.tobytes(), LIMITS) == (read if isinstance(read, str) else None)
        assert isinstance(read, str) or 1 <= len(list(read)) <= 8


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((1, 1), (255, 0, 0, 255))
    clear.putpixel((2, 2), (0, 0, 0, 127))
    for kind in ("PNG", "TIFF"):
        frame = frames(encode(clear, kind))[0]
        assert frame[0, 0].tolist() == [255, 255, 255]
        assert frame[1, 1].tolist() == [255, 0, 0]
        assert frame[2, 2].tolist() == [128, 128, 128]


def test_transparent_palettes_and_greys_are_laid_over_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert colours(encode(palette)) == [(10, 20, 30)]
    assert colours(encode(palette, transparency=1)) == [(255, 255, 255)]
    assert colours(encode(Image.new("L", (4, 4), 7), transparency=7)) == [(255, 255, 255)]
    assert colours(encode(Image.new("LA", (4, 4), (7, 0)))) == [(255, 255, 255)]


def test_sixteen_bits_are_cut_to_the_upper_eight() -> None:
    deep = Image.fromarray(np.array([[0, 255, 256, 65535, 0x1234]], np.uint16))
    for kind in ("PNG", "TIFF"):
        assert frames(encode(deep, kind))[0][0].tolist() == [[v] * 3 for v in (0, 0, 1, 255, 0x12)]


def test_cmyk_and_greys_become_rgb() -> None:
    for kind in ("JPEG", "TIFF"):
        assert colours(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), kind))[0] == pytest.approx(
            (255, 0, 0), abs=3
        )
    assert colours(encode(Image.new("L", (8, 8), 77))) == [(77, 77, 77)]
    assert colours(encode(Image.new("1", (8, 8), 1))) == [(255, 255, 255)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_applied(kind: str, orientation: int) -> None:
    """Twin: the eight orientations written out as what becomes of the upper left pixel's neighbours."""
    picture = noise(24, 16)
    exif = Image.Exif()
    exif[274] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encode(picture, kind, exif=exif, **options.get(kind, {}))
    plain = np.asarray(picture).astype(int)
    turned = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: plain[::-1].transpose(1, 0, 2),
        7: plain[::-1, ::-1].transpose(1, 0, 2),
        8: plain[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    frame = frames(data)[0]
    assert frame.shape == turned.shape
    assert np.abs(frame - turned).max() <= (8 if kind == "JPEG" else 0)


def test_broken_exif_breaks_no_picture() -> None:
    data = encode(noise(24, 16), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\xff\xff")
    assert frames(data)[0].shape == (16, 24, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames_of_an_animation_are_evenly_spaced_and_hold_the_first_and_the_last(kind: str) -> None:
    assert colours(animate(COLOURS, kind), most=10) == [rgb(name) for name in COLOURS]
    assert colours(animate(COLOURS, kind), most=4) == [rgb(COLOURS[i]) for i in (0, 3, 6, 9)]
    assert colours(animate(COLOURS, kind), most=2) == [rgb("red"), rgb("navy")]
    assert colours(animate(COLOURS, kind), most=1) == [rgb("red")]


def test_spacing_agrees_with_a_slow_twin() -> None:
    for count in range(1, 40):
        for most in range(1, 12):
            exact = [i * (count - 1) / (most - 1) for i in range(most)] if most > 1 else [0]
            wanted = list(range(count)) if count <= most else [int(number + 1e-9) for number in exact]
            assert spaced(count, most) == wanted
            assert len(set(wanted)) == len(wanted)


def test_an_animation_that_breaks_off_counts_up_to_there() -> None:
    whole = animate(COLOURS)
    assert colours(whole[: len(whole) * 2 // 3], most=10) == [rgb(name) for name in COLOURS[:6]]


def test_frames_beyond_the_pixels_of_an_animation_are_not_read() -> None:
    limits = PictureLimits(animation=4 * 20 * 16)
    assert colours(animate(COLOURS), most=10, limits=limits) == [rgb(name) for name in COLOURS[:4]]
    assert colours(animate(COLOURS), most=2, limits=limits) == [rgb("red"), rgb("black")]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_no_more_frames_are_looked_at_than_the_rule_allows(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.score.pictures._MOST_FRAMES", 4)
    assert colours(animate(COLOURS, kind), most=10) == [rgb(name) for name in COLOURS[:4]]


def test_what_a_camera_adds_to_a_jpeg_is_no_frame() -> None:
    pictures = [noise(32, 24, seed) for seed in range(3)]
    data = encode(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    assert len(frames(data)) == 1


def test_every_limit_is_a_rule_of_its_own() -> None:
    data = encode(noise(30, 20))
    assert reason(data, PictureLimits(bytes=len(data) - 1)) == "image is too large (bytes)"
    assert reason(data, PictureLimits(pixels=599)) == "image is enormous (pixels)"
    assert len(frames(data, PictureLimits(bytes=len(data), pixels=600))) == 1
    sliver = encode(noise(202, 2))
    assert reason(sliver) == "image is a sliver (sides)"
    assert len(frames(encode(noise(200, 2)))) == 1


@pytest.mark.parametrize("field", ["bytes", "pixels", "ratio", "animation"])
def test_a_limit_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PictureLimits(**{field: 0})


def test_more_pixels_than_pillow_allows_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels at most"):
        PictureLimits(pixels=10**9)


@pytest.mark.parametrize("side", [7_100, 10_000, 60_000, 2**31 - 1])
def test_a_small_file_with_enormous_sides_is_refused(side: int) -> None:
    assert reason(png_of(side, side, b"\0" * 1000)) == "image is enormous (pixels)"


def test_a_picture_that_claims_less_than_it_holds_is_read_to_its_size() -> None:
    assert frames(png_of(2, 2, b"\0" * 10_000_000))[0].shape == (2, 2, 3)


def test_bombs_take_no_memory() -> None:
    """A process of its own: what its peak grows by over the bombs, in MB."""
    code = """
import resource, zlib
from gallery import animate, encode
from PIL import Image
from test_pictures import png_of
from engine.score.pictures import PictureLimits, check_picture, read_picture
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
bombs = [png_of(s, s, b"\\0" * 2_000_000) for s in (7_100, 20_000, 2**31 - 1)]
bombs.append(animate(["red", "lime"], "WEBP", (64, 48)))
bombs[-1] = bombs[-1][:24] + (16_382).to_bytes(3, "little") * 2 + bombs[-1][30:]
check_picture(encode(Image.new("RGB", (64, 64)), "WEBP"), PictureLimits())
before = peak()
for bomb in bombs:
    verdicts = {check_picture(bomb, PictureLimits()), read_picture(bomb, PictureLimits(), 8)}
    assert verdicts == {"image is enormous (pixels)"}
print(peak() - before)
"""
    here = Path(__file__).parent
    search = f"import sys; sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]\n"
    ran = subprocess.run([sys.executable, "-c", search + code], check=True, capture_output=True, cwd=here.parents[1])
    assert float(ran.stdout) < 30
