"""Prints the recipe digests that TestRecipeDigestIsWhatItAlwaysWas expects, made without the Go code."""

import hashlib


def uvarint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def varint(n):
    return uvarint(2 * n if n >= 0 else -2 * n - 1)


def text(s):
    return uvarint(len(s.encode())) + s.encode()


def recipe(transform, version, params, inputs):
    b = b"cspine recipe 1\n" + text(transform) + varint(version)
    b += uvarint(len(params)) + b"".join(text(n) + text(v) for n, v in sorted(params))
    b += uvarint(len(inputs)) + b"".join(text(n) + hashlib.sha256(c).digest() for n, c in inputs)
    return hashlib.sha256(b).hexdigest()


print(recipe("crop", 1, [], []))
print(recipe("crop", -3, [("size", "224"), ("filter", "linear")], [("mask", b"mask"), ("slice", b"")]))
