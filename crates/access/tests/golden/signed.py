"""Makes signed.json: one token for each kind of key, signed by pyca/cryptography, and one of a key that is too short."""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return text(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def token(algorithm, kid, sign):
    signed = text(json.dumps({"alg": algorithm, "kid": kid}).encode()) + "." + text(b'{"sub":"ada"}')
    return signed + "." + text(sign(signed.encode()))


def of_rsa(kid, bits):
    key = rsa.generate_private_key(65537, bits)
    public = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": kid, "n": number(public.n), "e": number(public.e)}
    return {"jwk": jwk, "token": token("RS256", kid, lambda m: key.sign(m, padding.PKCS1v15(), hashes.SHA256()))}


def of_curve(kid):
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_numbers()

    def sign(message):
        r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    jwk = {"kty": "EC", "kid": kid, "crv": "P-256", "x": number(public.x, 32), "y": number(public.y, 32)}
    return {"jwk": jwk, "token": token("ES256", kid, sign)}


def of_edwards(kid):
    key = ed25519.Ed25519PrivateKey.generate()
    x = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"jwk": {"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": text(x)}, "token": token("EdDSA", kid, key.sign)}


made = {"rs": of_rsa("r", 2048), "es": of_curve("e"), "ed": of_edwards("d"), "weak": of_rsa("w", 1024)}
Path(__file__).with_name("signed.json").write_text(json.dumps(made, indent=1) + "\n")
