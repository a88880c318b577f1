#!/usr/bin/env python3
"""Recomputes the golden bytes of payment channels from their inputs: check.py channel.json

With the standard library alone and no code of the project: SCALE, BLAKE2b-256, the salted token trees and ed25519
(RFC 8032) are written down here a second time. sr25519 signatures are not verified here.
"""

import hashlib
import json
import sys


def blake2(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def uint(value, size):
    return int(value).to_bytes(size, "little")


def raw(text):
    assert text.startswith("0x"), text
    return bytes.fromhex(text[2:])


def domain(text):
    """A SCALE byte string of less than 64 bytes."""
    assert len(text) < 64
    return bytes([len(text) << 2]) + text.encode()


KINDS = {"sr25519": 0, "ed25519": 1}
SIDES = {"prompt": 0, "output": 1}


# ---- token roots


def token_root(secret, side, tokens):
    leaves = []
    for index, start in enumerate(range(0, len(tokens), 32)):
        salt = blake2(domain("assay/salt/v1") + secret + bytes([SIDES[side]]) + uint(index, 8))
        leaf = b"".join(uint(token, 4) for token in tokens[start : start + 32])
        leaves.append(blake2(b"\0" + salt + leaf))
    return tree(leaves) if leaves else blake2(b"assay/empty/v1")


def tree(leaves):
    """RFC 6962: the left part is the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return blake2(b"\1" + tree(leaves[:split]) + tree(leaves[split:]))


# ---- ed25519

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493


def add(one, two):
    """In extended coordinates: x = X/Z, y = Y/Z, T = XY/Z."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, two
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def equal(one, two):
    (x1, y1, z1, _), (x2, y2, z2, _) = one, two
    return (x1 * z2 - x2 * z1) % P == 0 and (y1 * z2 - y2 * z1) % P == 0


def multiply(point, factor):
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def point(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square, "not a point"
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point(uint(4 * pow(5, P - 2, P) % P, 32))


def ed25519_verifies(public, message, signature):
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    challenge = int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % ORDER
    try:
        right = add(point(r), multiply(point(public), challenge))
    except AssertionError:
        return False
    return s < ORDER and equal(multiply(BASE, s), right)


# ---- the file

wrong = []


def same(what, ours, theirs):
    if ours != raw(theirs):
        wrong.append(f"{what}: computed 0x{ours.hex()}, the file has {theirs}")


def signed(what, head, payload, entry):
    """`encoded` is the head, the kind of key, and a signature over the payload."""
    encoded = raw(entry["encoded"])
    body, signature = encoded[:-64], encoded[-64:]
    same(what, body, "0x" + (head + bytes([KINDS[entry["kind"]]])).hex())
    if entry["kind"] == "ed25519":
        if not ed25519_verifies(raw(entry["public"]), payload, signature):
            wrong.append(f"{what}: the ed25519 signature is not over the payload")


def check(vectors):
    channel = vectors["channel"]
    identity = domain("assay/channel/v1") + raw(channel["genesis"]) + uint(channel["number"], 8)
    same("channel id", blake2(identity), channel["id"])

    for key in vectors["keys"]:
        same("key", bytes([KINDS[key["kind"]]]) + raw(key["public"]), key["encoded"])

    for voucher in vectors["vouchers"]:
        head = raw(voucher["channel"]) + uint(voucher["cumulative"], 16)
        payload = domain("assay/voucher/v1") + raw(voucher["genesis"]) + head
        same("voucher's payload", payload, voucher["payload"])
        signed("voucher", head, payload, voucher)

    for root in vectors["roots"]:
        same("root", token_root(raw(root["secret"]), root["side"], root["tokens"]), root["root"])

    for name in ["header", "score"]:
        check_header(name, vectors[name])

    receipt = vectors["receipt"]
    encoded = b"".join(
        [
            raw(receipt["header"]),
            uint(receipt["anchor_number"], 4),
            raw(receipt["anchor_hash"]),
            uint(receipt["output_len"], 4),
            raw(receipt["output_root"]),
            uint(receipt["finish"], 1),
            uint(receipt["fee"], 16),
        ]
    )
    same("receipt's payload", domain("assay/receipt/v1") + encoded, receipt["payload"])
    same("receipt", encoded + b"\1", "0x" + raw(receipt["encoded"])[:-64].hex())


def task(value):
    if value == "generate":
        return b"\0"
    return b"\1" + raw(value["seed"]) + uint(value["answer_at"], 4)


def check_header(name, header):
    encoded = b"".join(
        [
            uint(header["version"], 2),
            raw(header["genesis"]),
            b"\1" + raw(header["channel"]) + uint(header["seq"], 8),
            raw(header["provider"]),
            raw(header["listing"]),
            raw(header["prompt_root"]),
            uint(header["prompt_len"], 4),
            task(header["task"]),
            *(uint(header[field], 4) for field in ["temperature", "top_k", "top_p", "min_p", "penalty"]),
            uint(header["nonce"], 8),
            uint(header["token_limit"], 4),
            uint(header["input_price"], 16),
            uint(header["output_price"], 16),
        ]
    )
    digest = blake2(domain("assay/header/v1") + encoded)
    payload = domain("assay/request/v1") + digest
    same(name, encoded, header["encoded"])
    same(f"{name}'s hash", digest, header["hash"])
    if header["task"] == "generate":
        same(f"{name}'s seed", blake2(domain("assay/seed/v1") + digest + bytes(32)), header["seed"])
    else:
        same(f"{name}'s seed", raw(header["task"]["seed"]), header["seed"])
    same(f"{name}'s payload", payload, header["payload"])
    for entry in header["signed"]:
        signed(f"signed {name}", encoded, payload, entry)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        check(json.load(file))
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(1)
    print("channel.json: all bytes agree")


main()
