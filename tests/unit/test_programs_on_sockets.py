"""The programs that ask a service: what they send, and what they make of its answer."""

import errno
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fabfile.tiers.app import mount_health
from fabfile.tiers.balancer.programs import statistics
from fabfile.tiers.database.programs import startup
from fabfile.tiers.storage.programs import handshake
from fabfile.verify.programs import scan


@contextmanager
def service(server: socket.socket, answer: bytes, received: list[bytes]) -> Iterator[None]:
    """Serve one client on a listening socket: take what it says first, answer, hang up."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            received.append(connection.recv(65536))
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server:
        yield
        thread.join(10)


@contextmanager
def listening(answer: bytes, received: list[bytes]) -> Iterator[tuple[str, int]]:
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    with service(server, answer, received):
        yield address


def test_the_start_up_packet_is_as_postgresql_says():
    packet = startup.packet("crm", "crm_2017")
    assert packet[:8] == struct.pack("!IHH", len(packet), 3, 0)
    assert packet[8:] == b"user\0crm\0database\0crm_2017\0\0"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"E|SFATAL\0Mno pg_hba.conf entry for it\0\0", "SFATAL Mno pg_hba.conf entry for it"),
        (b"R|\0\0\0\x0aSCRAM-SHA-256\0\0", "\n SCRAM-SHA-256".strip()),
    ],
)
def test_the_kind_of_postgresqls_answer_is_told(body, answer):
    kind, _, text = body.partition(b"|")
    received: list[bytes] = []
    with listening(kind + struct.pack("!I", len(text) + 4) + text, received) as (address, port):
        given = {"address": address, "port": port, "user": "crm", "database": "crm"}
        assert startup.main(given) == (kind.decode(), answer)
    assert received == [startup.packet("crm", "crm")]


def test_who_hangs_up_without_an_answer_is_named():
    with listening(b"", []) as (address, port):
        given = {"address": address, "port": port, "user": "a", "database": "a"}
        assert startup.main(given) == ("", f"{address}:{port} hung up without an answer")


def test_all_that_haproxy_says_is_told(tmp_path):
    table = "# pxname,svname\n" + "app,sñ\n" * 50_000
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "admin.sock"))
    server.listen()
    received: list[bytes] = []
    with service(server, table.encode(), received):
        assert statistics.main(str(tmp_path / "admin.sock")) == table
    assert received == [b"show stat\n"]


def test_a_dictionary_of_glusterfs_has_lengths_before_and_zeros_behind():
    assert handshake.dictionary({"a": "xyz", "bc": ""}) == (
        b"\0\0\0\x02\0\0\0\x01\0\0\0\x04a\0xyz\0\0\0\0\x02\0\0\0\x01bc\0\0"
    )


def test_a_call_is_one_whole_record_of_full_words():
    record = handshake.call("/nas/brick")
    (mark,) = struct.unpack("!I", record[:4])
    assert mark == 1 << 31 | len(record) - 4 and len(record) % 4 == 0
    assert struct.unpack("!3I", record[16:28]) == (14398633, 2, 1)
    assert b"remote-subvolume\0/nas/brick\0" in record


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (struct.pack("!iI", 0, 0), "accepted"),
        (struct.pack("!iI", -1, errno.EACCES), "EACCES"),
        (struct.pack("!iI", -1, 9999), "9999"),
        (b"", "hung up"),
    ],
)
def test_what_a_brick_says_is_told(result, said):
    received: list[bytes] = []
    with listening(bytes(28) + result if result else b"", received) as (address, port):
        assert handshake.main([(address, port, "/nas/brick")]) == [said]
    assert received == [handshake.call("/nas/brick")]


def test_a_brick_that_is_gone_spoils_no_other_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = server.getsockname()
    with listening(bytes(36), []) as there:
        first, second = handshake.main([(*gone, "/nas/brick"), (*there, "/nas/brick")])
    assert "Connection refused" in first and second == "accepted"


def test_a_segment_is_a_syn_with_a_right_checksum():
    own, to = socket.inet_aton("10.1.1.2"), socket.inet_aton("10.1.2.255")
    for source, target in ((20000, 80), (39999, 65535), (20001, 1)):
        packet = scan.segment(own, to, source, target)
        assert struct.unpack("!HH", packet[:4]) == (source, target)
        assert (packet[12] >> 4, packet[13]) == (5, 2)
        # RFC 9293, section 3.1: summed up with the pseudo header, all bits are one.
        total = scan.words(own + to + struct.pack("!HH", 6, len(packet)) + packet)
        while total >> 16:
            total = (total >> 16) + (total & 0xFFFF)
        assert total == 0xFFFF


def test_an_answer_is_taken_apart_also_behind_options_of_ip():
    for words in (5, 7):
        header = bytearray(words * 4)
        header[0] = 4 << 4 | words
        header[12:16] = socket.inet_aton("10.1.2.2")
        packet = bytes(header) + scan.segment(bytes(4), bytes(4), 80, 20000)
        assert scan.taken_apart(packet) == ("10.1.2.2", 80, 20000, scan.SYN)


def test_answers_and_refusals_are_heard_and_silence_is_not(monkeypatch):
    monkeypatch.setattr(scan, "LIMIT", 0.3)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talking,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed,
    ):
        ports = []
        for one in (silent, talking, closed):
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname())
        closed.close()
        talking.settimeout(5)

        def talk() -> None:
            _, client = talking.recvfrom(100)
            talking.sendto(b"here", client)

        thread = threading.Thread(target=talk)
        thread.start()
        answers = scan.heard("lo", socket.AF_INET, socket.SOCK_DGRAM, ports)
        thread.join()
    assert sorted(answers) == sorted(f"127.0.0.1:{port}" for _, port in ports[1:])


def asked_by_http(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: ")
        client.sendall(b"volume\r\n\r\n")
        return client.recv(100)


def test_only_where_something_is_mounted_the_volume_answers(tmp_path):
    for directory, status in (("/", b"200"), (str(tmp_path), b"503"), ("/nowhere", b"503")):
        listener, free = mount_health.listening("127.0.0.1", 0), threading.Semaphore(1)
        served = (listener, directory, free)
        threading.Thread(target=mount_health.serve, args=served, daemon=True).start()
        assert asked_by_http(listener.getsockname()).split()[1] == status, directory


def test_who_asks_for_a_volume_while_all_others_wait_is_sent_away():
    listener, free = mount_health.listening("127.0.0.1", 0), threading.Semaphore(1)
    threading.Thread(target=mount_health.serve, args=(listener, "/", free), daemon=True).start()
    with socket.create_connection(listener.getsockname(), timeout=10) as first:
        first.sendall(b"GET / HTTP/1.1\r\n")
        with socket.create_connection(listener.getsockname(), timeout=10) as second:
            assert second.recv(100) == b""
        first.sendall(b"\r\n")
        assert b" 200 " in first.recv(100)
