"""Tiny pictures of every accepted type, made from their specifications."""

import struct
import zlib


def png(width: int = 3, height: int = 2, shade: int = 120) -> bytes:
    """Return a grey PNG (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    rows = (b"\0" + bytes([shade]) * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int = 3, height: int = 2) -> bytes:
    """Return the header of a JPEG file with a comment before the frame (ITU-T T.81)."""
    comment = b"\xff\xfe" + struct.pack(">H", 7) + b"hello"
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + comment + b"\xff\xff\xc0" + frame + b"\xff\xda\x00\x02\xff\xd9"


def webp(kind: bytes = b"VP8L", width: int = 3, height: int = 2) -> bytes:
    """Return a WebP file with one chunk (RFC 9649)."""
    data = {
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0",
        b"VP8X": bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }[kind]
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
