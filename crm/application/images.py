"""What an uploaded photo is, judged by its content alone.

Neither the name nor the type a browser states is looked at. The header's structure is parsed up
to the dimensions, so that a text which merely begins with the right bytes is refused.
"""

import struct
import zlib
from dataclasses import dataclass

DIMENSION_MAXIMUM = 20_000
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}

# ITU-T T.81, table B.1: SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END_OF_IMAGE, _JPEG_START_OF_SCAN = 0xD9, 0xDA


class NotAnImage(Exception):
    """The content is no JPEG, PNG or WebP picture; the message is a sentence for the form."""


@dataclass(frozen=True)
class ImageHeader:
    """The format (as a file extension) and the size of a picture."""

    extension: str
    width: int
    height: int


def inspect(data: bytes) -> ImageHeader:
    """Return what kind of picture the data is; raise NotAnImage when it is none."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            header = ImageHeader("jpg", *_jpeg_size(data))
        elif data.startswith(b"\x89PNG\r\n\x1a\n"):
            header = ImageHeader("png", *_png_size(data))
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = ImageHeader("webp", *_webp_size(data))
        else:
            raise NotAnImage("The photo must be a JPEG, PNG or WebP picture.")
    except (struct.error, IndexError, ValueError):
        raise NotAnImage("The photo is damaged or not really a picture.") from None
    if not (1 <= header.width <= DIMENSION_MAXIMUM and 1 <= header.height <= DIMENSION_MAXIMUM):
        raise NotAnImage(f"The photo must be 1 to {DIMENSION_MAXIMUM} pixels wide and high.")
    return header


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the marker segments to the frame header (ITU-T T.81, B.1.1 and B.2.2)."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("no marker where one has to be")
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        if marker in (0, _JPEG_END_OF_IMAGE, _JPEG_START_OF_SCAN):
            raise ValueError("no frame header before the picture's data")
        (length,) = struct.unpack_from(">H", data, position + 1)
        if marker in _JPEG_FRAMES:
            _, height, width, components = struct.unpack_from(">BHHB", data, position + 3)
            if components not in (1, 3, 4) or length != 8 + 3 * components:
                raise ValueError("a frame header of the wrong length")
            return width, height
        if length < 2:
            raise ValueError("a segment shorter than its own length field")
        position += 1 + length


def _png_size(data: bytes) -> tuple[int, int]:
    """Parse the IHDR chunk, which must come first (RFC 2083, sections 3.2 and 4.1.1)."""
    length, kind = struct.unpack_from(">I4s", data, 8)
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(
        ">IIBBBBB", data, 16
    )
    (checksum,) = struct.unpack_from(">I", data, 29)
    if length != 13 or kind != b"IHDR" or checksum != zlib.crc32(data[12:29]):
        raise ValueError("no valid IHDR chunk")
    if depth not in (1, 2, 4, 8, 16) or colour not in (0, 2, 3, 4, 6):
        raise ValueError("an unknown kind of pixel")
    if compression != 0 or filtering != 0 or interlace not in (0, 1):
        raise ValueError("an unknown method")
    # Every PNG has picture data and ends with an empty IEND chunk (RFC 2083, section 4.1.4).
    if b"IDAT" not in data or b"\x00\x00\x00\x00IEND\xaeB`\x82" not in data:
        raise ValueError("the picture's data is missing or cut off")
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    """Parse the first chunk of the container (RFC 9649, sections 2.4 to 2.7)."""
    (riff_size,) = struct.unpack_from("<I", data, 4)
    kind, size = struct.unpack_from("<4sI", data, 12)
    if riff_size + 8 > len(data) + 1 or size + 12 > riff_size:
        raise ValueError("the picture's data is cut off")
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(data[24:27], "little"),
            1 + int.from_bytes(data[27:30], "little"),
        )
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise ValueError("no signature of the lossless format")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        # RFC 6386, section 9.1: a key frame carries this start code and its dimensions.
        start_code, width, height = struct.unpack_from("<3sHH", data, 23)
        if start_code != b"\x9d\x01\x2a":
            raise ValueError("no key frame")
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("an unknown first chunk")
