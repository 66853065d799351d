"""A site that has been in use for long: many customers, each with a photo."""

# Photos by one app server, past the application and as it would store them: 20,000 through its
# form would take an hour. Prints a line of COPY for each.
PHOTOS = """
import hashlib, os, pathlib, pwd, struct, zlib
from concurrent.futures import ThreadPoolExecutor

def chunk(kind, data):
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

def png():
    rows = b"".join(b"\\0" + os.urandom(48) for _ in range(16))
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\\x89PNG\\r\\n\\x1a\\n" + header + body

top, user = pathlib.Path("/mnt/nas/crm"), pwd.getpwnam("crm")
os.umask(0o027)
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
for number in range(256):
    (top / f"{number:02x}").mkdir(mode=0o750, exist_ok=True)

def photo(number):
    data = png()
    name = hashlib.sha256(data).hexdigest() + ".png"
    (top / name[:2] / name).write_bytes(data)
    return f"Bulk {number:06}\\tbulk{number}@example.com\\t{name}"

with ThreadPoolExecutor(8) as pool:
    print(*pool.map(photo, range(COUNT)), sep="\\n")
"""


def fill(lab, count):
    """Have at least so many customers with a photo on the site."""
    there = int(lab.sql("SELECT count(*) FROM customers WHERE photo IS NOT NULL", "crm"))
    if there >= count:
        return
    program = PHOTOS.replace("COUNT", str(count - there))
    rows = lab.do("s1", f"python3 - <<'END'\n{program}\nEND", limit=1200)
    lab.sql(
        f"COPY customers (name, email, photo) FROM STDIN;\n{rows}\\.\nANALYZE customers;", "crm"
    )
