"""Prepared statements of libpq, on many connections at once: a program that runs on an app server.

Each connection prepares a statement once and asks for it again and again, while the others do.
"""

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor

CONNECTIONS, ROUNDS = int(sys.argv[1]), 5


def main() -> None:
    """Print by how many processes of PostgreSQL's that was done, and by how many for one."""
    libpq = ctypes.CDLL("libpq.so.5")
    for name in ("PQconnectdb", "PQprepare", "PQexecPrepared"):
        getattr(libpq, name).restype = ctypes.c_void_p
    libpq.PQgetvalue.restype = ctypes.c_char_p
    libpq.PQerrorMessage.restype = ctypes.c_char_p

    def value(connection: ctypes.c_void_p, result: ctypes.c_void_p) -> bytes:
        if libpq.PQresultStatus(result) not in (1, 2):
            sys.exit(libpq.PQerrorMessage(connection).decode())
        return libpq.PQgetvalue(result, 0, 0) if libpq.PQntuples(result) else b""

    known = []
    for number in range(CONNECTIONS):
        connection = ctypes.c_void_p(libpq.PQconnectdb(os.environ["DATABASE_URL"].encode()))
        statement = f"SELECT {number} || ' ' || pg_backend_pid() FROM pg_sleep(0.01)".encode()
        result = libpq.PQprepare(connection, b"mine", statement, 0, None)
        value(connection, ctypes.c_void_p(result))
        known.append(connection)

    def asked(number: int) -> set[bytes]:
        """Ask for the statement of a connection, and return who has answered."""
        processes = set()
        for _ in range(ROUNDS):
            result = libpq.PQexecPrepared(known[number], b"mine", 0, None, None, None, 0)
            mine, process = value(known[number], ctypes.c_void_p(result)).split()
            if int(mine) != number:
                sys.exit(f"connection {number} has the statement of {mine.decode()}")
            processes.add(process)
        return processes

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = list(pool.map(asked, range(CONNECTIONS)))
    print(len(set.union(*found)), max(map(len, found)))


main()
