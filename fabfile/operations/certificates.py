"""Issues the certificates of the scenario's machines, by a small authority of its own.

By the library that speaks SSH for us, too: no other program is needed on this computer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fabfile.scenario import Scenario
from fabfile.scenario.authority import (
    AUTHORITY,
    AUTHORITY_DAYS,
    MACHINE_DAYS,
    Certificate,
    due,
    read,
    write,
)

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# A machine whose clock is behind takes a new one, too.
EARLIER = timedelta(days=2)
# What a key may be for, see RFC 5280, section 4.2.1.3.
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def make(scenario: Scenario) -> None:
    """Issue those that are missing or end soon, if any: what each operation begins with."""
    wanted = [scenario.certificate_entry(each) for each in scenario.certified]
    if not wanted:
        return
    known = read(scenario.state)
    if missing := due(known, wanted):
        for each in missing:
            known[each] = _issued(scenario, each, known)
        write(scenario.state, known)


def _issued(scenario: Scenario, wanted: str, known: dict[str, Certificate]) -> Certificate:
    """Return a new certificate; the authority keeps its key, a machine gets another one."""
    # Here, because most operations issue none.
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    def loaded(of: str) -> EllipticCurvePrivateKey:
        key = load_pem_private_key(known[of].key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # they are ours
        return key

    name, *addresses = wanted.split()
    again = name == AUTHORITY and AUTHORITY in known
    key = loaded(AUTHORITY) if again else ec.generate_private_key(ec.SECP256R1())
    signer = key if name == AUTHORITY else loaded(AUTHORITY)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(
        days=AUTHORITY_DAYS if name == AUTHORITY else MACHINE_DAYS
    )
    signed = _described(scenario.name, name, addresses, key, signer, until).sign(
        signer, hashes.SHA256()
    )
    return Certificate(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        signed.public_bytes(Encoding.PEM).decode(),
        until.isoformat(),
    )


def _described(
    scenario: str,
    name: str,
    addresses: list[str],
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    until: datetime,
) -> x509.CertificateBuilder:
    """Return what a certificate says, for the authority to sign."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    authority = f"authority of {scenario}"
    is_authority = name == AUTHORITY
    described = (
        x509.CertificateBuilder()
        .subject_name(called(authority if is_authority else name))
        .issuer_name(called(authority))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - EARLIER)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if is_authority:
        signs = dict.fromkeys(USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        return described.add_extension(x509.KeyUsage(**signs), critical=True)
    # pgBackRest compares an address with the names of hosts only, and others with addresses.
    alternatives = [
        *(x509.DNSName(each) for each in (name, *addresses)),
        *(x509.IPAddress(ip_address(each)) for each in addresses),
    ]
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return described.add_extension(
        x509.SubjectAlternativeName(alternatives), critical=False
    ).add_extension(x509.ExtendedKeyUsage(both), critical=False)
