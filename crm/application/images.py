"""What an uploaded photo is, judged by its content alone: Pillow decodes it.

Neither the name nor the type a browser states is looked at.
"""

import fcntl
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, PngImagePlugin, UnidentifiedImageError

MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}

# By Pillow's names. Phones write MPO: a JPEG with more pictures behind it, which nobody is shown.
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
# An app server has 400 MiB. Its two workers, with 5 MB being received in each of their eight
# threads, take up to 200 of them, so the one picture that is decoded at a time may take 160. For
# each pixel Pillow takes up to 16 bytes of a WebP, 8 of a JPEG and 4 of a PNG. The limits bound the
# time, too.
PIXELS = {"jpg": 20_000_000, "png": 20_000_000, "webp": 9_000_000}
# A progressive JPEG has about ten. Each is a walk over all pixels, and may be a few bytes long.
_JPEG_SCANS = 100
_JPEG_START_OF_SCAN = b"\xff\xda"

# Pillow's own limit is one for all formats, and half of it a mere warning.
Image.MAX_IMAGE_PIXELS = None
# Text in a PNG is decompressed before anybody asks for it. By default it may take 64 times as much.
PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK


class NotAnImage(Exception):
    """The content is no picture to accept; the message is a sentence for the form."""


@dataclass(frozen=True)
class ImageHeader:
    """The format (as a file extension) and the size of a picture."""

    extension: str
    width: int
    height: int


def inspect(data: bytes) -> ImageHeader:
    """Return what kind of picture the data is; raise NotAnImage when it is none."""
    try:
        header = _header(data)
        with _alone():
            _decode(data)
    except NotAnImage:
        raise
    except UnidentifiedImageError:
        raise NotAnImage("The photo must be a JPEG, PNG or WebP picture.") from None
    # Of damaged files, each of Pillow's decoders raises errors of its own.
    except Exception:
        raise NotAnImage("The photo is damaged or not really a picture.") from None
    return header


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))


def _header(data: bytes) -> ImageHeader:
    """Return what the picture says of itself; raise NotAnImage when it is too large to decode."""
    with _opened(data) as picture:
        header = ImageHeader(_EXTENSIONS[picture.format], *picture.size)
    if header.width * header.height > PIXELS[header.extension]:
        raise NotAnImage(
            f"The photo may have at most {PIXELS[header.extension] // 1_000_000} million pixels, "
            f"not {header.width} x {header.height}."
        )
    if header.extension == "jpg" and data.count(_JPEG_START_OF_SCAN) > _JPEG_SCANS:
        raise ValueError("too many scans")
    return header


@contextmanager
def _alone() -> Iterator[None]:
    """Keep the other threads, and the other workers of this server, from decoding meanwhile."""
    with open(__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _decode(data: bytes) -> None:
    """Decode the first picture of the file, which is all of it that is ever shown at once."""
    with _opened(data) as picture:
        # load() alone is content with a PNG that has no end, and with wrong checksums.
        picture.verify()
    with _opened(data) as picture:
        # All of a JPEG is read still, but one pixel of 64 is kept. Other formats know no draft.
        picture.draft(None, (1, 1))
        picture.load()
