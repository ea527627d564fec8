"""Picture files from outside: B01 to B12 of the bad-input catalogue, and colours checked by their values."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tyqi_core.errors import ContractViolation, InputError
from tyqi_core.protocol import images
from tyqi_core.protocol.codecs import ImageLimits, encode_image, read_image
from tyqi_core.protocol.ports import PortType


def port(name: str = "image", **rest: Any) -> PortType:
    return PortType.parse({"type": name, **rest})


def saved(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, file_format, **options)
    return target.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def photo(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def refusal(data: bytes, kind: PortType | None = None, limits: ImageLimits | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        read_image(data, kind, limits)
    assert len(str(caught.value)) < 400
    return caught.value


@contextlib.contextmanager
def memory_below(limit: int) -> Iterator[None]:
    """What Python and numpy allocate meanwhile stays below ``limit`` bytes, whatever ran before."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow takes a picture's memory in ``load``: whoever reaches it fails."""

    def reached(_: Any) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr(images, "_load", reached)


def test_an_empty_file_and_a_single_byte_are_refused() -> None:  # B01
    assert refusal(b"").code == "EMPTY_FILE"
    assert refusal(b"\x89").code == "NOT_AN_IMAGE"
    assert refusal(b"just some text, not a picture").code == "NOT_AN_IMAGE"


def test_a_png_header_followed_by_garbage_is_corrupt() -> None:  # B02
    header = saved(photo(), "PNG")[:33]
    assert refusal(header + b"garbage" * 40).code == "IMAGE_CORRUPT"
    assert refusal(header).code == "IMAGE_CORRUPT"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_corrupt_and_never_filled_up(file_format: str, share: float) -> None:  # B02
    whole = saved(photo(), file_format)
    assert read_image(whole).shape == (48, 64, 3)
    assert refusal(whole[: int(len(whole) * share)]).code == "IMAGE_CORRUPT"


@pytest.mark.parametrize("size", [(9000, 9000), (20_000, 20_000), (65_500, 65_500), (20_000, 10), (10, 2**31 - 1)])
@pytest.mark.usefixtures("no_decoding")
def test_a_small_file_of_a_huge_picture_is_refused_from_its_header(size: tuple[int, int]) -> None:  # B03, B04
    data = png(*size, data=bytes(1000))
    with memory_below(10 << 20):
        assert refusal(data).code == "IMAGE_TOO_LARGE"


@pytest.mark.parametrize("file_format", ["JPEG", "BMP", "GIF", "TIFF", "WEBP"])
def test_every_format_is_measured_before_it_is_decoded(file_format: str) -> None:
    data = saved(photo(100, 10), file_format)
    assert refusal(data, limits=ImageLimits(max_side=99)).code == "IMAGE_TOO_LARGE"
    assert refusal(data, limits=ImageLimits(max_pixels=999)).code == "IMAGE_TOO_LARGE"
    assert read_image(data, limits=ImageLimits(max_side=100, max_pixels=1000)).shape == (10, 100, 3)


def test_a_webp_canvas_is_measured_before_its_decoder_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (16382).to_bytes(3, "little") * 2
    data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    pictures = [saved(photo(16_001, 1), "WEBP", lossless=True), saved(photo(16_001, 1), "WEBP")]

    def opened(*_: Any) -> None:
        raise AssertionError("the decoder was opened")

    monkeypatch.setattr(images, "_opened", opened)
    assert refusal(data).code == "IMAGE_TOO_LARGE"
    for picture in pictures:
        assert refusal(picture, limits=ImageLimits(max_side=16_000)).code == "IMAGE_TOO_LARGE"
    assert refusal(data[:14]).code == "IMAGE_CORRUPT"


def frames(count: int) -> list[Image.Image]:
    return [Image.new("L", (4, 4), 7 * index % 256) for index in range(count)]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_file_of_several_frames_is_refused(file_format: str) -> None:  # B05
    first, *rest = frames(12)
    data = saved(first, file_format, save_all=True, append_images=rest)
    error = refusal(data)
    assert error.code == "TOO_MANY_FRAMES"
    assert error.remedy
    assert read_image(data, limits=ImageLimits(max_frames=12)).tolist() == [[[0, 0, 0]] * 4] * 4


def test_an_apng_that_announces_a_hundred_thousand_frames_is_refused_at_once() -> None:  # B05
    data = png(4, 4, chunk(b"acTL", struct.pack(">II", 100_000, 0)), data=bytes(13 * 4))
    assert refusal(data).code == "TOO_MANY_FRAMES"


def test_a_tiff_whose_directories_form_a_loop_is_refused() -> None:  # B05
    data = bytearray(saved(Image.new("L", (4, 4)), "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * entries, directory)
    assert refusal(bytes(data)).code == "TOO_MANY_FRAMES"
    assert refusal(bytes(data), limits=ImageLimits(max_frames=1000)).code == "TOO_MANY_FRAMES"


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_text_that_unpacks_to_64_megabytes_is_refused(kind: bytes) -> None:  # B06
    bomb = zlib.compress(bytes(64 << 20), 9)
    body = {b"zTXt": b"Comment\0\0", b"iCCP": b"profile\0\0", b"iTXt": b"Comment\0\1\0\0\0"}[kind] + bomb
    data = png(4, 4, chunk(kind, body), data=bytes(13 * 4))
    with memory_below(16 << 20):
        assert refusal(data).code == "IMAGE_CORRUPT"


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"SIMPLE  =                    T", "FITS"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"icns\0\0\0\x10", "ICNS"),
        (b"\0\0\0\0\0\0\0\4", "McIdas"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "SVG"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>", "SVG"),
        (b"PK\3\4", "ZIP"),
        (b"\x93NUMPY\1\0", "NumPy"),
    ],
)
def test_formats_that_are_not_on_the_list_are_refused_by_name(start: bytes, name: str) -> None:  # B07, B09
    error = refusal(start + bytes(200))
    assert error.code == "TYPE_NOT_ALLOWED"
    assert name in error.message


@pytest.mark.parametrize(
    ("file_format", "tail"),
    [("JPEG", b"PK\3\4 a zip archive"), ("GIF", b"*/=1;alert(1)"), ("PNG", b"<script>alert(1)</script>")],
)
def test_a_polyglot_is_a_picture_and_nothing_else(file_format: str, tail: bytes) -> None:  # B08
    whole = saved(photo(), file_format)
    pixels = read_image(whole + tail)
    assert np.array_equal(pixels, read_image(whole))
    assert tail not in encode_image(pixels)


CORNERS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[9, 9, 9], [99, 99, 99], [200, 200, 200]]], np.uint8)
UPRIGHT: dict[int, Callable[[Any], Any]] = {  # EXIF orientation -> what a viewer does to the stored pixels
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    9: lambda a: a,
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_the_orientation_is_applied_exactly_once(file_format: str, orientation: int) -> None:  # B10
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = saved(Image.fromarray(CORNERS), file_format, exif=exif, **options)
    assert np.array_equal(read_image(data), UPRIGHT[orientation](CORNERS))


def test_metadata_is_dropped() -> None:  # B10
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    exif.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    good = saved(photo(), "JPEG", exif=exif)
    assert b"x" * 1000 not in encode_image(read_image(good), "image/jpeg")


BROKEN_EXIF = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(50)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow says so on standard error, once
def test_broken_metadata_does_no_harm() -> None:  # B10
    assert read_image(saved(photo(), "JPEG", exif=BROKEN_EXIF)).shape == (48, 64, 3)


def test_where_warnings_are_errors_a_warning_of_the_decoder_refuses_the_picture() -> None:
    assert refusal(saved(photo(), "JPEG", exif=BROKEN_EXIF)).code == "IMAGE_CORRUPT"


def grey16(byte_order: str = "<") -> Any:
    return np.array([[0, 255, 256, 32768], [65279, 65280, 65534, 65535]], f"{byte_order}u2")


def test_16_bits_become_8_by_the_upper_byte() -> None:  # B11
    for order, file_format in (("<", "PNG"), ("<", "TIFF")):
        data = saved(Image.fromarray(grey16(order)), file_format)
        assert read_image(data)[:, :, 1].tolist() == [[0, 0, 1, 128], [254, 255, 255, 255]]
        assert read_image(data, port(colour=["grey"])).tolist() == [[0, 0, 1, 128], [254, 255, 255, 255]]


def test_16_bits_stay_where_the_port_lists_them() -> None:
    data = saved(Image.fromarray(grey16()), "PNG")
    kept = read_image(data, port(dtype=["uint8", "uint16"], colour=["rgb", "grey"]))
    assert kept.dtype.str == "<u2"
    assert np.array_equal(kept, grey16())
    assert read_image(data, port(dtype=["uint16"])).shape == (2, 4, 3)


def tiff16(order: str, *, bits: int = 16, photometric: int = 1) -> bytes:
    """A grey TIFF of 4 x 2 pixels and 16 bits, in either byte order."""
    pixels = grey16(order).tobytes()
    tags = {256: 4, 257: 2, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 2, 279: len(pixels)}
    directory = struct.pack(f"{order}H", len(tags))
    for tag, value in tags.items():
        directory += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", 8 + len(pixels)) + pixels + directory + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_16_bit_tiff_has_the_same_levels_in_either_byte_order(order: str) -> None:
    assert np.array_equal(read_image(tiff16(order), port(dtype=["uint16"], colour=["grey"])), grey16())
    assert read_image(tiff16(order), port(colour=["grey"])).tolist() == [[0, 0, 1, 128], [254, 255, 255, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_levels_that_the_decoder_would_get_wrong_are_refused(order: str) -> None:
    for data in (tiff16(order, photometric=0), tiff16(order, bits=12)):
        assert refusal(data).code in {"TYPE_NOT_ALLOWED", "IMAGE_CORRUPT"}


def test_16_bit_colour_is_read_by_its_upper_bytes_or_refused_but_never_called_16_bit() -> None:  # B11
    row = struct.pack(">6H", 0xFFFF, 0x8000, 0x0100, 0x00FF, 0x1234, 0xFEFF)
    data = png(2, 1, depth=16, data=b"\0" + row)
    assert read_image(data).tolist() == [[[255, 128, 1], [0, 0x12, 0xFE]]]
    error = refusal(data, port(dtype=["uint16"]))
    assert error.code == "TYPE_NOT_ALLOWED"
    assert "16-bit colour" in error.message


def test_one_bit_becomes_black_and_white() -> None:  # B11
    data = saved(Image.fromarray(np.array([[True, False]])), "PNG")
    assert read_image(data).tolist() == [[[255] * 3, [0] * 3]]
    assert read_image(data, port("mask")).tolist() == [[255, 0]]


def test_a_palette_is_resolved_and_what_is_transparent_shows_black() -> None:  # B11
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50, 255, 255, 255])
    picture.putdata([0, 1, 2])
    plain = read_image(saved(picture, "PNG"))
    assert plain.tolist() == [[[10, 20, 30], [200, 100, 50], [255, 255, 255]]]
    clear = read_image(saved(picture, "PNG", transparency=bytes([255, 0, 128])))
    assert clear.tolist() == [[[10, 20, 30], [0, 0, 0], [128, 128, 128]]]


def test_alpha_is_laid_over_black() -> None:  # B11
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    assert read_image(saved(Image.fromarray(rgba), "PNG")).tolist() == [[[200, 100, 50], [0, 0, 0], [100, 50, 25]]]
    grey = Image.merge("LA", (Image.new("L", (1, 1), 200), Image.new("L", (1, 1), 0)))
    assert read_image(saved(grey, "PNG"), port(colour=["grey"])).tolist() == [[0]]


def test_transparent_colours_of_pictures_without_alpha_show_black_too() -> None:
    data = saved(Image.fromarray(CORNERS), "PNG", transparency=(255, 0, 0))
    assert read_image(data)[0].tolist() == [[0, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_cmyk_becomes_rgb_without_a_colour_profile() -> None:  # B11
    inks = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    assert read_image(saved(inks, "TIFF")).tolist() == [[[255, 0, 0]]]
    red, green, blue = read_image(saved(inks, "JPEG", quality=95))[0, 0].tolist()
    assert red > 250
    assert max(green, blue) < 5


def test_a_float_tiff_is_refused_by_its_mode_unless_the_port_lists_floats() -> None:  # B11
    heights = np.array([[0.25, -3.5]], np.float32)
    data = saved(Image.fromarray(heights), "TIFF")
    error = refusal(data)
    assert error.code == "TYPE_NOT_ALLOWED"
    assert "mode F" in error.message
    assert np.array_equal(read_image(data, port(dtype=["float32"], colour=["grey"])), heights)
    holes = saved(Image.fromarray(np.array([[np.nan]], np.float32)), "TIFF")
    assert refusal(holes, port(dtype=["float32"], colour=["grey"])).code == "IMAGE_CORRUPT"


@pytest.mark.parametrize("mode", ["I", "LAB"])
def test_modes_without_a_rule_are_refused_by_name(mode: str) -> None:  # B11
    error = refusal(saved(Image.new(mode, (2, 2)), "TIFF"))
    assert error.code == "TYPE_NOT_ALLOWED"
    assert f"mode {mode}" in error.message


def test_grey_and_colour_become_what_the_port_lists() -> None:
    grey = saved(Image.new("L", (2, 1), 77), "PNG")
    assert read_image(grey).tolist() == [[[77, 77, 77]] * 2]
    assert read_image(grey, port(colour=["grey", "rgb"])).tolist() == [[77, 77]]
    assert read_image(grey, port(dtype=["uint16"], colour=["grey"])).tolist() == [[77 * 257] * 2]
    floats = read_image(grey, port(dtype=["float32"], colour=["grey"]))
    assert floats.dtype == np.float32
    assert floats[0, 0] == pytest.approx(77 / 255)
    colour = saved(Image.fromarray(CORNERS), "PNG")
    assert np.array_equal(read_image(colour, port(colour=["grey", "rgb"])), CORNERS)
    assert read_image(colour, port(colour=["grey"])).tolist() == [[76, 150, 29], [9, 99, 200]]  # ITU-R 601


def test_a_mask_keeps_its_labels() -> None:
    labels = Image.new("P", (3, 1))
    labels.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    labels.putdata([0, 1, 2])
    assert read_image(saved(labels, "PNG"), port("mask")).tolist() == [[0, 1, 2]]
    assert read_image(saved(Image.new("L", (1, 1), 3), "PNG"), port("mask")).tolist() == [[3]]
    for picture in (photo(), Image.fromarray(grey16())):
        assert refusal(saved(picture, "PNG"), port("mask")).code == "TYPE_NOT_ALLOWED"


def test_only_the_first_bytes_decide_what_a_file_is() -> None:  # B12
    named = PngImagePlugin.PngInfo()
    named.add_text("Content-Type", "application/pdf")
    assert read_image(saved(photo(), "PNG", pnginfo=named)).shape == (48, 64, 3)
    assert refusal(b"GIF89a" + saved(photo(), "PNG")[6:]).code == "IMAGE_CORRUPT"


def test_the_previews_that_cameras_add_to_a_jpeg_do_not_count_as_frames() -> None:
    data = saved(photo(), "MPO", save_all=True, append_images=[photo(16, 12)])
    assert read_image(data).shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["tensor", "json", "anomaly_map"])
def test_a_picture_file_does_not_become_something_else(name: str) -> None:
    assert refusal(saved(photo(), "PNG"), port(name)).code == "TYPE_NOT_ALLOWED"


def test_pictures_are_written_as_they_are() -> None:
    for array in (CORNERS, CORNERS[:, :, 0].copy(), grey16()):
        back = read_image(encode_image(array), port(dtype=["uint8", "uint16"], colour=["grey", "rgb"]))
        assert np.array_equal(back, array)
    assert encode_image(CORNERS, "image/jpeg")[:3] == b"\xff\xd8\xff"
    with pytest.raises(ContractViolation):
        encode_image(np.zeros((2, 2), np.float32))
    with pytest.raises(ContractViolation, match="grey PNG"):
        encode_image(grey16(), "image/jpeg")
    with pytest.raises(ValueError, match="image/png or image/jpeg"):
        encode_image(CORNERS, "image/gif")
