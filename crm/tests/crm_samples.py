"""Small pictures of every accepted type, and what can be made of them."""

import io
import struct
import zlib

from PIL import Image


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _grey(width: int, height: int, shade: int = 120) -> Image.Image:
    return Image.new("L", (width, height), shade)


def png(width: int = 3, height: int = 2, shade: int = 120) -> bytes:
    """Return a grey PNG."""
    return _saved(_grey(width, height, shade), "PNG")


def jpeg(width: int = 3, height: int = 2, mode: str = "L", **options: object) -> bytes:
    """Return a JPEG of one colour."""
    return _saved(Image.new(mode, (width, height)), "JPEG", **options)


def webp(kind: bytes = b"VP8L", width: int = 3, height: int = 2) -> bytes:
    """Return a WebP file whose first chunk is of that kind (RFC 9649)."""
    mode = "RGBA" if kind == b"VP8X" else "RGB"
    data = _saved(Image.new(mode, (width, height)), "WEBP", lossless=kind == b"VP8L", exact=True)
    if kind == b"VP8X":
        data = _saved(Image.open(io.BytesIO(data)), "WEBP", exif=b"Exif\0\0")
    assert data[12:16] == kind
    return data


def frames(kind: str, width: int = 3, height: int = 2) -> bytes:
    """Return a file of two pictures: an animation, or MPO, a JPEG with another behind it."""
    second = [_grey(width, height, 50)]
    return _saved(_grey(width, height), kind, save_all=True, append_images=second)


def pixels(data: bytes, width: int, height: int) -> bytes:
    """Return the PNG with another size in its header."""
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def canvas(data: bytes, width: int, height: int) -> bytes:
    """Return the WebP file, whose first chunk is VP8X, with another size in it."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return data[:24] + size + data[30:]


def frame_header(data: bytes, width: int, height: int) -> bytes:
    """Return the JPEG with another size in its frame header."""
    place = 5 + max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan is there so many times more."""
    data = jpeg(64, 64, progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * count + data[end:]


def text(count: int) -> bytes:
    """Return a PNG with so many chunks of text, a megabyte each before it was compressed."""
    content = b"Comment\0\0" + zlib.compress(bytes(1_000_000).replace(b"\0", b" "))
    checksum = struct.pack(">I", zlib.crc32(b"zTXt" + content))
    chunk = struct.pack(">I", len(content)) + b"zTXt" + content + checksum
    data = png()
    return data[:33] + chunk * count + data[33:]
