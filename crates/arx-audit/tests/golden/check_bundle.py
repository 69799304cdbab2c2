#!/usr/bin/env python3
"""Check an ARX evidence bundle with nothing but Python's standard library.

Usage: check_bundle.py BUNDLE [--key VKEY]

A second, independent reading of docs/spec/audit-log.md: it shares no code with the
product. It checks the form of every leaf, the inclusion proofs, the consistency proof
and the Ed25519 signatures. It does not check what the leaves tell about each other.
Exit 0: all hold. Exit 1: something does not. Exit 2: bad usage.
"""

import base64
import hashlib
import json
import sys

EM_DASH = "\u2014 "
INTEGER_MAX = 2**53 - 1


def need(condition, message):
    if not condition:
        raise ValueError(message)


# --- RFC 8785: one spelling for each value -------------------------------------------


def canonical(value):
    """Leaves and bundles hold no floats, so sorting the keys is all there is to do."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(canonical(k) + ":" + canonical(value[k]) for k in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    need(not isinstance(value, float), "a number is not an integer")
    if isinstance(value, int):
        need(abs(value) <= INTEGER_MAX, "an integer is beyond 2^53-1")
    return json.dumps(value, ensure_ascii=False)


# --- RFC 6962: the tree --------------------------------------------------------------


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(leaf):
    return sha256(b"\x00", leaf)


def node_hash(left, right):
    return sha256(b"\x01", left, right)


def root_from_inclusion(seq, size, leaf, proof):
    """RFC 9162, section 2.1.3.2."""
    need(0 <= seq < size, "it is not within the signed size")
    fn, sn, root = seq, size - 1, leaf
    for step in proof:
        need(sn != 0, "its proof is too long")
        if fn & 1 or fn == sn:
            root = node_hash(step, root)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, step)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "its proof is too short")
    return root


def check_consistency(earlier, earlier_root, size, root, proof):
    """RFC 9162, section 2.1.4.2."""
    need(earlier <= size, "the earlier checkpoint is the larger one")
    if earlier == size or earlier == 0:
        expected = root if earlier == size else sha256()
        need(earlier_root == expected and not proof, "the log has another history")
        return
    if earlier & (earlier - 1) == 0:
        proof = [earlier_root] + proof
    need(proof, "the consistency proof is too short")
    fn, sn = earlier - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = proof[0]
    for step in proof[1:]:
        need(sn != 0, "the consistency proof is too long")
        if fn & 1 or fn == sn:
            old, new = node_hash(step, old), node_hash(step, new)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, step)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "the consistency proof is too short")
    need((old, new) == (earlier_root, root), "the log has another history")


# --- RFC 8032: Ed25519, in extended coordinates --------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def add(a, b):
    s = (a[1] - a[0]) * (b[1] - b[0]) % P
    t = (a[1] + a[0]) * (b[1] + b[0]) % P
    u = 2 * a[3] * b[3] * D % P
    v = 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    need(len(data) == 32 and y < P, "a point is malformed")
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * SQRT_M1 % P
    need((x * x - xx) % P == 0 and not (x == 0 and sign), "a point is not on the curve")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public, message, signature):
    if len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = multiply(scalar, BASE)
    hashed = int.from_bytes(digest, "little") % ORDER
    right = add(decompress(signature[:32]), multiply(hashed, decompress(public)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


# --- C2SP signed notes and checkpoints -----------------------------------------------


def decode(text):
    return base64.b64decode(text, validate=True)


def parse_vkey(vkey):
    name, key_id, key = vkey.split("+", 2)
    key = decode(key)
    expected = sha256(name.encode(), b"\n", key)[:4]
    need(expected.hex() == key_id, "the key's id is not that of its name and key")
    need(len(key) == 33 and key[0] == 1, "it is not an Ed25519 key")
    return name, expected, key[1:]


def check_note(vkey, note):
    """Returns the size and root that the note signs."""
    name, key_id, public = parse_vkey(vkey)
    text, sep, signatures = note.rpartition("\n\n")
    need(sep and note.endswith("\n"), "the checkpoint is not a signed note")
    text += "\n"
    found = False
    for line in signatures.splitlines():
        need(line.startswith(EM_DASH), "the checkpoint is not a signed note")
        signer, _, signature = line[len(EM_DASH) :].partition(" ")
        signature = decode(signature)
        if signer == name and signature[:4] == key_id:
            need(is_signed(public, text.encode(), signature[4:]), "the signature is wrong")
            found = True
    need(found, "the checkpoint is not signed by " + name)
    origin, size, root = text.split("\n")[:3]
    need(origin == name, "the checkpoint is of another log")
    need(size == str(int(size)) and 0 <= int(size) <= INTEGER_MAX, "the size is malformed")
    need(len(decode(root)) == 32, "the root is malformed")
    return int(size), decode(root)


# --- the bundle ----------------------------------------------------------------------


def check_bundle(data, pinned):
    bundle = json.loads(data)
    need((canonical(bundle) + "\n").encode() == data, "the file is not canonical")
    need(bundle["format"] == "arx-evidence-bundle" and bundle["version"] == 1, "unknown format")
    known = {"format", "version", "run", "origin", "vkey", "checkpoint", "entries"}
    need(bundle.keys() - {"earlier"} == known, "a part is missing or unknown")
    vkey = bundle["vkey"]
    need(pinned in (None, vkey), "the bundle is signed by another key")
    need(bundle["origin"] == parse_vkey(vkey)[0], "the origin is not that of the key")
    size, root = check_note(vkey, bundle["checkpoint"])
    before, n_of_run = -1, 0
    for entry in bundle["entries"]:
        seq, text = entry["seq"], entry["leaf"]
        try:
            need(seq > before, "it is out of order")
            before = seq
            proof = [decode(step) for step in entry["proof"]]
            implied = root_from_inclusion(seq, size, leaf_hash(text.encode()), proof)
            need(implied == root, "it is not in the signed tree")
            leaf = json.loads(text)
            need(canonical(leaf) == text, "it is not canonical")
            need(leaf["seq"] == seq, "it says that it is another leaf")
            need(leaf.get("run", bundle["run"]) == bundle["run"], "it is of another run")
            if leaf["kind"] == "run" and "run_leaves" in leaf.get("detail", {}):
                counted = leaf["detail"]["run_leaves"]
                need(counted == n_of_run, "it counts %d leaves before it" % counted)
            n_of_run += "run" in leaf
        except (ValueError, KeyError) as error:
            raise ValueError("leaf %d: %s" % (seq, error)) from error
    need(n_of_run, "there is no leaf of the run")
    earlier = bundle.get("earlier")
    if earlier:
        old_size, old_root = check_note(vkey, earlier["checkpoint"])
        proof = [decode(step) for step in earlier["proof"]]
        check_consistency(old_size, old_root, size, root, proof)
    return len(bundle["entries"]), size, root


def main(args):
    pinned = None
    if len(args) == 3 and args[1] == "--key":
        pinned = args.pop()
        args.pop()
    if len(args) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(args[0], "rb") as file:
        data = file.read()
    try:
        n_leaves, size, root = check_bundle(data, pinned)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        print("FAILED:", error)
        return 1
    origin = "key pinned" if pinned else "key NOT pinned: integrity proved, origin not"
    print("ok: %d leaves in the tree of %d, root %s, %s" % (n_leaves, size, root.hex(), origin))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
