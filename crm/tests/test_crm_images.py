"""Which pictures are accepted: what can be decoded, and takes no more memory than there is."""

import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from application import images
from crm_samples import canvas, frame_header, frames, jpeg, pixels, png, scans, text, webp

# MiB that an inspection may take beside what the process has: see images.PIXELS.
MEMORY = 160
CRM = Path(images.__file__).resolve().parents[1]
DAMAGED = "The photo is damaged or not really a picture."


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_size_of_webp(kind: bytes) -> None:
    assert images.inspect(webp(kind, 640, 480)) == images.ImageHeader("webp", 640, 480)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"hello"}])
def test_size_of_jpeg(options: dict) -> None:
    assert images.inspect(jpeg(640, 480, **options)) == images.ImageHeader("jpg", 640, 480)


def test_size_of_png() -> None:
    assert images.inspect(png(64, 48)) == images.ImageHeader("png", 64, 48)


@pytest.mark.parametrize(("kind", "extension"), [("PNG", "png"), ("WEBP", "webp"), ("MPO", "jpg")])
def test_a_file_of_several_pictures(kind: str, extension: str) -> None:
    assert images.inspect(frames(kind, 64, 48)) == images.ImageHeader(extension, 64, 48)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + bytes(100),
        frames("GIF"),
        frames("TIFF"),
        b"\xff\xd8\xff<script>alert(1)</script>",
        b"\xff\xd8\xff\xda\x00\x02\xff\xd9",
        frame_header(jpeg(), 0, 2),
        frame_header(jpeg(), 3, 0),
        pixels(png(), 0, 2),
        pixels(png(), 3, 0),
        png().replace(b"IHDR", b"IHDX"),
        png().replace(b"\x00\x00\x00\x03\x00\x00\x00\x02", b"\x00\x00\x00\x04\x00\x00\x00\x02"),
        webp().replace(b"VP8L", b"HTML"),
        webp().replace(b"\x2f", b"\x30"),
        b"RIFF\x04\0\0\0WEBP",
    ],
)
def test_other_content_is_no_picture(data: bytes) -> None:
    with pytest.raises(images.NotAnImage):
        images.inspect(data)


WHOLE = {
    "jpeg": jpeg(64, 48),
    "progressive jpeg": jpeg(64, 48, progressive=True),
    "png": png(64, 48),
    "animated png": frames("PNG", 64, 48),
    "lossy webp": webp(b"VP8 ", 64, 48),
    "lossless webp": webp(b"VP8L", 64, 48),
    "extended webp": webp(b"VP8X", 64, 48),
    "animated webp": frames("WEBP", 64, 48),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_truncated_file_is_refused(data: bytes) -> None:
    images.inspect(data)
    # Without a last bit of the end mark alone, the picture is whole.
    for length in {*range(0, len(data) - 5, 7), len(data) - 5}:
        with pytest.raises(images.NotAnImage):
            images.inspect(data[:length])


def test_what_looks_like_a_picture_must_be_one() -> None:
    data = bytearray(png(64, 48))
    place = data.index(b"IDAT") + 8
    data[place] ^= 1
    with pytest.raises(images.NotAnImage, match=DAMAGED):
        images.inspect(bytes(data))


TOO_LARGE = {
    "jpg": frame_header(jpeg(), 5_001, 4_000),
    "mpo": frame_header(frames("MPO"), 20_000, 20_000),
    "png": pixels(png(), 20_000, 20_000),
    "animated png": pixels(frames("PNG"), 5_001, 4_000),
    "animated webp": canvas(frames("WEBP"), 16_000, 16_000),
    "webp": webp(b"VP8L", 9_001, 1_000),
}


@pytest.mark.parametrize("data", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_picture_of_too_many_pixels_is_refused(data: bytes) -> None:
    begin = time.monotonic()
    with pytest.raises(images.NotAnImage, match=r"may have at most \d+ million pixels, not"):
        images.inspect(data)
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("data", [scans(200), text(2)])
def test_a_small_picture_that_takes_long_or_much_is_refused(data: bytes) -> None:
    with pytest.raises(images.NotAnImage, match=DAMAGED):
        images.inspect(data)


largest_jpeg = functools.partial(jpeg, mode="CMYK", progressive=True)
# The peak of a process never falls: a process of its own inspects what it is given.
PEAK = """
import pathlib, re, sys
from application import images

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])

data = sys.stdin.buffer.read()
before, header, after = peak(), images.inspect(data), peak()
print((after - before) // 1024, header.extension)
"""


@pytest.mark.parametrize(
    ("extension", "make"),
    [("jpg", largest_jpeg), ("png", png), ("webp", webp)],
)
def test_the_largest_picture_fits_into_memory(extension: str, make: Callable) -> None:
    data = make(width=5_000, height=images.PIXELS[extension] // 5_000)
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=data, capture_output=True, check=True, cwd=CRM
    )
    taken, kind = done.stdout.decode().split()
    assert kind == extension
    # Less would be that of no picture at all.
    assert 15 <= int(taken) <= MEMORY


def test_one_picture_is_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, most = [], []

    def decode(*_: object) -> None:
        now.append(1)
        most.append(len(now))
        time.sleep(0.05)
        now.pop()

    monkeypatch.setattr(images, "_decode", decode)
    threads = [threading.Thread(target=images.inspect, args=(png(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
