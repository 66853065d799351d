"""The verifier of a password, against the example of RFC 7677, section 3."""

import hashlib
import hmac
from base64 import b64decode

from fabfile.scenario.credentials import salted_verifier, scram_verifier

CLIENT_FIRST = "n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
MESSAGE = f"{CLIENT_FIRST},{NONCE},s={SALT},i=4096,c=biws,{NONCE}".encode()
PROOF = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_the_example_of_the_rfc_is_accepted() -> None:
    scheme, salt, keys = salted_verifier("pencil", b64decode(SALT), 4096).split("$")
    assert (scheme, salt) == ("SCRAM-SHA-256", f"4096:{SALT}")
    stored_key, server_key = map(b64decode, keys.split(":"))
    # RFC 5802, section 3: what a server does with them, which has no password.
    mask = hmac.digest(stored_key, MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(PROOF, mask, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert hmac.digest(server_key, MESSAGE, "sha256") == SIGNATURE


def test_the_salt_follows_from_password_and_role() -> None:
    verifier = scram_verifier("pencil", "crm")
    assert verifier == scram_verifier("pencil", "crm")
    salt = verifier.split("$")[1].removeprefix("4096:")
    assert verifier == salted_verifier("pencil", b64decode(salt), 4096)
    others = [scram_verifier("pencil", "other"), scram_verifier("pen", "crm")]
    assert salt not in "".join(others)
