"""Reading picture files from outside: type and size are decided from the first bytes, before anything is decoded.

What becomes of other modes than 8-bit RGB is a declared rule, told in ``docs/protocol.md``; what has no rule is refused
by name. Metadata is dropped; the orientation that it states is applied once.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from tyqi_core.errors import ContractViolation, InputError
from tyqi_core.protocol.checks import IMAGE_DTYPES
from tyqi_core.protocol.ports import PortType, checker

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture file may ask for; compared with its header.

    Attributes:
        max_pixels: width times height.
        max_side: width or height, in pixels.
        max_frames: frames or pages; the first one is read. JPEG previews and thumbnails do not count.
    """

    max_pixels: int = 40_000_000
    max_side: int = 16_384
    max_frames: int = 1


_RGB = PortType("image")
_LIMITS = ImageLimits()
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
ALLOWED_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
_KNOWN_OTHERS = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"SIMPLE  =", "FITS"),
    (b"icns", "ICNS"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x00\x00\x00\x00\x04", "McIdas"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"PK\x03\x04", "ZIP"),
    (b"<?xml", "XML or SVG"),
    (b"<svg", "SVG"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "NumPy"),
)


def read_image(data: bytes, port_type: PortType | None = None, limits: ImageLimits | None = None) -> Array:
    """The picture in a file's bytes, as an array that fits ``port_type`` (8-bit RGB if none is given).

    Raises:
        InputError: ``EMPTY_FILE``, ``NOT_AN_IMAGE``, ``TYPE_NOT_ALLOWED``, ``IMAGE_TOO_LARGE``, ``TOO_MANY_FRAMES``,
            ``IMAGE_CORRUPT``, or ``PILLOW_MISSING`` where the extra ``images`` is not installed.
    """
    wanted, allowed = port_type or _RGB, limits or _LIMITS
    if wanted.is_list or wanted.name not in {"image", "video_frame", "mask"}:
        raise InputError(f"a picture file cannot become {wanted}", code="TYPE_NOT_ALLOWED")
    file_format = sniff(data)
    if file_format == "WEBP":
        _gate(_webp_size(data), allowed)  # its decoder takes memory for the whole canvas when it is opened
    with _opened(data, file_format) as image:
        _gate(image.size, allowed)
        _count_frames(image, data, allowed.max_frames)
        _load(image)
        array = _mask_of(image) if wanted.name == "mask" else _image_of(image, data, wanted)
    if wanted.name != "video_frame" and (fault := checker(wanted)(array)) is not None:
        raise _corrupt(fault)
    return array


def sniff(data: bytes) -> str:
    """The format that the first bytes say, one of :data:`ALLOWED_FORMATS`. Names and declared types do not count.

    Raises:
        InputError: ``EMPTY_FILE``, ``NOT_AN_IMAGE`` or ``TYPE_NOT_ALLOWED``.
    """
    if not data:
        raise InputError("the file is empty", code="EMPTY_FILE")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, name in _MAGICS:
        if data.startswith(magic):
            return name
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    other = next((name for magic, name in _KNOWN_OTHERS if data.startswith(magic) or start.startswith(magic)), None)
    if data[4:8] == b"ftyp":
        other = "HEIF, AVIF or MP4"
    if other is None:
        raise InputError("the file is no picture: its first bytes are of no known format", code="NOT_AN_IMAGE")
    raise InputError(
        f"the file is {other}; allowed are {', '.join(ALLOWED_FORMATS)}",
        code="TYPE_NOT_ALLOWED",
        remedy="Convert it to one of these.",
    )


def encode_image(value: Array, media_type: str = "image/png", quality: int = 90) -> bytes:
    """A picture file of an image or mask: uint8 grey or RGB, as PNG also uint16 grey.

    Raises:
        ContractViolation: the array is none of these.
        ValueError: the media type is neither ``image/png`` nor ``image/jpeg``.
    """
    from PIL import Image  # noqa: PLC0415  (heavy; only who writes picture files pays for it)

    if media_type not in {"image/png", "image/jpeg"}:
        raise ValueError(f"expected image/png or image/jpeg, found {media_type!r}")
    deep = PortType("image", constraints={"dtype": ["uint8", "uint16"], "colour": ["rgb", "grey"]})
    fault = checker(deep)(value)
    if fault is None and value.dtype != "uint8" and (value.ndim > 2 or media_type != "image/png"):  # noqa: PLR2004
        fault = "16 bits can only be written as grey PNG"
    if fault is not None:
        raise ContractViolation(fault)
    target = io.BytesIO()
    options = {"quality": quality} if media_type == "image/jpeg" else {}
    Image.fromarray(value).save(target, media_type.removeprefix("image/").upper(), **options)
    return target.getvalue()


# -- gates ------------------------------------------------------------------------------------------------------------


def _corrupt(why: object) -> InputError:
    return InputError(f"the picture cannot be decoded: {str(why)[:200]}", code="IMAGE_CORRUPT")


def _too_large(width: int, height: int, limits: ImageLimits) -> InputError:
    return InputError(
        f"the picture has {width} x {height} pixels; "
        f"allowed are {limits.max_pixels} in all and {limits.max_side} a side",
        code="IMAGE_TOO_LARGE",
        remedy="Cut or scale it before.",
    )


def _opened(data: bytes, file_format: str) -> Image.Image:
    """The file with its header read and nothing decoded."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (heavy; only who reads picture files pays for it)
    except ImportError as error:
        raise InputError(
            "reading pictures needs Pillow", code="PILLOW_MISSING", remedy="Run: pip install 'tyqi-core[images]'"
        ) from error
    try:
        return Image.open(io.BytesIO(data), formats=[file_format])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        message = "the picture has more pixels, by far, than are ever decoded"
        raise InputError(message, code="IMAGE_TOO_LARGE", remedy="Cut or scale it before.") from error
    except UnidentifiedImageError as error:
        raise _corrupt(
            f"its {file_format} header cannot be read, or is of a variety that Pillow does not know"
        ) from error
    except Exception as error:  # a parser of foreign bytes fails in ways that no list names
        raise _corrupt(error) from error


def _gate(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise _corrupt(f"it has {width} x {height} pixels")
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise _too_large(width, height, limits)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP file's canvas, from its first chunk (RFC 9649)."""
    try:
        chunk = data[12:16]
        if chunk == b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        if chunk == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if chunk == b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    except struct.error as error:
        raise _corrupt("the WebP header is cut off") from error
    raise _corrupt("the file holds no WebP picture")


def _count_frames(image: Image.Image, data: bytes, limit: int) -> None:
    """Refuse more than ``limit`` frames without walking through all of them."""
    if image.format in {"PNG", "WEBP"}:
        frames = getattr(image, "n_frames", 1)  # stated in the header
        if frames > limit:
            raise _too_many(f"{frames}", limit)
    elif image.format == "TIFF":
        _count_pages(data, limit)
    elif image.format == "GIF":
        _seek_frames(image, limit)
    # BMP has one picture; what follows the first one in a JPEG is previews.


def _seek_frames(image: Image.Image, limit: int) -> None:
    try:
        image.seek(limit)
    except EOFError:
        image.seek(0)
        return
    except Exception as error:  # as above
        raise _corrupt(error) from error
    raise _too_many(f"more than {limit}", limit)


def _count_pages(data: bytes, limit: int) -> None:
    """Follow a TIFF's chain of directories; one that leads back into itself has no end (TIFF 6.0, BigTIFF)."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    offset_form, count_form, entry = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}I", f"{order}H", 12)
    try:
        (at,) = struct.unpack_from(offset_form, data, 8 if big else 4)
        pages = 0
        while at:
            pages += 1
            if pages > limit:
                raise _too_many(f"more than {limit}", limit)
            (entries,) = struct.unpack_from(count_form, data, at)
            (at,) = struct.unpack_from(offset_form, data, at + struct.calcsize(count_form) + entry * entries)
    except struct.error as error:
        raise _corrupt("a TIFF directory lies beyond the end") from error


def _too_many(found: str, limit: int) -> InputError:
    return InputError(
        f"the file holds {found} frames or pages; allowed is {limit}",
        code="TOO_MANY_FRAMES",
        remedy="Give each frame as a file of its own.",
    )


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except MemoryError as error:
        raise InputError("the picture does not fit into memory", code="IMAGE_TOO_LARGE") from error
    except Exception as error:  # as above
        raise _corrupt(error) from error


# -- conversion -------------------------------------------------------------------------------------------------------


def _refuse(what: str, wanted: str, remedy: str) -> NoReturn:
    raise InputError(f"a picture of mode {what} cannot become {wanted}", code="TYPE_NOT_ALLOWED", remedy=remedy)


def _upright(image: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen. Metadata that cannot be read, or says nonsense, turns nothing."""
    from PIL import Image as Pillow  # noqa: PLC0415  (loaded already)

    turns = {
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_270,
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001  (unreadable metadata, of whatever kind, is not worth refusing a picture for)
        orientation = None
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _mask_of(image: Image.Image) -> Array:
    """Labels are taken as they are stored: grey levels, palette positions, or 0 and 255 of one bit."""
    import numpy as np  # noqa: PLC0415  (heavy; only who reads pictures pays for it)

    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in {"L", "P"}:
        _refuse(image.mode, "a mask", "Save it as 8-bit grey, one label a grey level.")
    return np.array(_upright(image), dtype=np.uint8)


def _image_of(image: Image.Image, data: bytes, wanted: PortType) -> Array:
    import numpy as np  # noqa: PLC0415  (heavy; only who reads pictures pays for it)

    deep_colour = _deep_colour(image, data, wanted)
    dtypes, colours = wanted.constraints["dtype"], wanted.constraints["colour"]
    flat = _opaque(_upright(image), wanted)
    source = np.array(flat)
    if source.dtype.kind == "u" and source.dtype.itemsize == 2:  # noqa: PLR2004  (bytes; big-endian ones too)
        source = source.astype("<u2")
    grey_wanted = "grey" in colours and (source.ndim == 2 or "rgb" not in colours)  # noqa: PLR2004
    if source.ndim == 3 and grey_wanted:  # noqa: PLR2004
        source = np.array(flat.convert("L"))
    if source.ndim == 2 and not grey_wanted:  # noqa: PLR2004
        source = np.repeat(source[:, :, None], 3, axis=2)
    if deep_colour and "uint8" not in dtypes:
        _refuse("16-bit colour", str(wanted), "Save it as 8-bit colour or 16-bit grey.")
    return np.ascontiguousarray(_scaled(source, dtypes, wanted))


def _deep_colour(image: Image.Image, data: bytes, wanted: PortType) -> bool:
    """Whether the file has 16 bits for each of several channels, of which Pillow keeps the upper 8.

    Also refuses what Pillow would hand out with wrong levels.
    """
    if image.format == "PNG":
        return data[24] == 16 and image.mode in {"RGB", "RGBA", "LA"}  # noqa: PLR2004  (bit depth in IHDR)
    if image.format != "TIFF":
        return False
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = set(tags.get(_BITS_PER_SAMPLE, (1,)))
    if not bits <= {1, 2, 4, 8, 16, 32}:
        _refuse(f"{image.mode} with {'/'.join(map(str, bits))} bits", str(wanted), "Save it with 8 or 16 bits.")
    if tags.get(_PHOTOMETRIC) == 0 and image.mode not in {"1", "L", "P"}:
        _refuse(f"{image.mode}, white is zero", str(wanted), "Save it with black as zero.")
    return bits == {16} and not image.mode.startswith(("I", "F"))


def _opaque(image: Image.Image, wanted: PortType) -> Image.Image:
    """Modes L, RGB, I;16 or F; what is transparent shows black."""
    from PIL import Image as Pillow  # noqa: PLC0415  (loaded already)

    mode = image.mode
    if mode == "1":
        return image.convert("L")
    if mode in {"LA", "La", "PA", "RGBA", "RGBa"} or (mode in {"L", "P", "RGB"} and "transparency" in image.info):
        seen = image.convert("RGBA")
        black = Pillow.new("RGBA", seen.size, (0, 0, 0, 255))
        return Pillow.alpha_composite(black, seen).convert("L" if mode in {"L", "LA", "La"} else "RGB")
    if mode in {"L", "RGB"} or mode.startswith("I;16"):
        return image
    if mode in {"P", "CMYK", "YCbCr", "RGBX"}:
        return image.convert("RGB")
    if mode == "F" and "float32" in wanted.constraints["dtype"]:
        return image
    return _refuse(mode, str(wanted), "Save it as 8-bit or 16-bit grey, or as 8-bit RGB.")


def _scaled(source: Array, dtypes: list[str], wanted: PortType) -> Array:
    """The same picture in the first dtype that the port lists, the file's own one before all others.

    Whole numbers keep their place between black and white: 16 to 8 bits takes the upper byte, 8 to 16 multiplies by
    257, and floats run from 0 to 1.
    """
    import numpy as np  # noqa: PLC0415  (loaded already)

    own = source.dtype.name
    target = own if own in dtypes else dtypes[0]
    if target == own:
        return source
    if own == "uint16" and target == "uint8":
        return (source >> 8).astype(np.uint8)
    if own == "uint8" and target == "uint16":
        return source.astype(IMAGE_DTYPES["uint16"]) * np.uint16(257)
    if target == "float32" and own in {"uint8", "uint16"}:
        return source.astype(np.float32) / np.float32(np.iinfo(source.dtype).max)
    return _refuse(own, str(wanted), "Save it as 8-bit or 16-bit grey, or as 8-bit RGB.")
