"""Sums as integers that add exactly, and the one-time pads that hide each holder's part of them.

A count is one 64-bit word (two's complement). A float64 sum is a 256-bit two's complement integer with 128
fractional bits: four words. Addition is modulo 2^64 and 2^256, so pads that cancel in pairs leave the total
to the last bit, whatever the order of addition.

Words of a share lie like this: the counts of all ``i`` arrays one after the other, then the lowest limbs of
all ``f`` arrays, then their second, third and highest limbs. Limbs side by side would cost strided access.

A pad is the ChaCha20 keystream under a key that HKDF-SHA256 derives from the X25519 secret of two holders and
the context of the round. The holder with the lower DID adds it, the other subtracts it. Pads protect against
a coordinator that reads everything; with fewer than three holders a holder can subtract its own part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from salerno.analysis.model import ArraySpec, Sums
from salerno.kernel.errors import Invalid

LIMBS = 4
FRACTION_BITS = 128
_WORD = np.dtype("<u8")
_ONE = np.uint64(1)
_HALF_BITS = np.uint64(32)
_HALF = np.uint64(0xFFFFFFFF)
_CHUNK = 16384
_PADS_BYTES = 8 * 1024 * 1024  # pads are added many at a time, and no more are held than this


@dataclass(frozen=True)
class Encoded:
    """Sums as words.

    Args:
        arrays: Name, shape and kind of each array, counts first, each kind sorted by name.
        words: uint64, one per count and four per fixed-point number, in the order of this module.
    """

    arrays: tuple[ArraySpec, ...]
    words: NDArray[np.uint64]


def encode(sums: Sums, *, addends: int = 2) -> Encoded:
    """Sums as words that add exactly.

    Args:
        sums: Arrays by name; whole numbers and booleans become counts, floats fixed-point numbers. Bits of a
            float below 2^-128 are cut off.
        addends: How many holders' words are going to be added; the head-room is reserved for them.

    Raises:
        Invalid: ``not-finite`` for NaN or infinity, ``too-large`` for what could overflow when added,
            ``wrong-sums`` for another kind of array. The array is named, its values are not.
    """
    counts, numbers = [], []
    for name in sorted(sums):
        array = np.asarray(sums[name])
        if array.dtype.kind in "iub":
            counts.append((name, array))
        elif array.dtype.kind == "f":
            numbers.append((name, array))
        else:
            raise Invalid("wrong-sums", f"The sums {name!r} are of type {array.dtype}, which does not add")
    room = max(addends, 1).bit_length() - (max(addends, 1).bit_count() == 1)
    words = [_encode_counts(name, array, 63 - room) for name, array in counts]
    if numbers:
        flat = np.concatenate([_finite(name, array, 127 - room) for name, array in numbers])
        limbs = np.zeros((LIMBS, flat.size), _WORD)
        for part in _chunks(flat.size):
            _encode_numbers(flat[part], limbs[:, part])
        words.append(limbs.reshape(-1))
    arrays = [ArraySpec(name=name, shape=array.shape, kind="i") for name, array in counts]
    arrays += [ArraySpec(name=name, shape=array.shape, kind="f") for name, array in numbers]
    joined = np.concatenate(words) if words else np.zeros(0, _WORD)
    return Encoded(tuple(arrays), joined.astype(_WORD, copy=False))


def decode(arrays: Sequence[ArraySpec], words: NDArray[np.uint64]) -> Sums:
    """The sums behind unmasked words: int64 counts, and the float64 nearest to each fixed-point number.

    Raises:
        Invalid: ``wrong-words`` when the number of words does not fit the arrays.
    """
    n_counts, n_numbers = layout(arrays)
    _check_length(n_counts, n_numbers, words)
    counts = words[:n_counts].view(np.int64)
    limbs = words[n_counts:].reshape(LIMBS, n_numbers)
    numbers = np.zeros(n_numbers)
    for part in _chunks(n_numbers):
        numbers[part] = _decode_numbers(limbs[:, part])
    sums: Sums = {}
    at = {"i": 0, "f": 0}
    for spec in arrays:
        source = counts if spec.kind == "i" else numbers
        start = at[spec.kind]
        at[spec.kind] = end = start + _size(spec)
        sums[spec.name] = source[start:end].reshape(spec.shape).copy()
    return sums


def add(arrays: Sequence[ArraySpec], parts: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Sum of several holders' words, modulo 2^64 per count and 2^256 per number.

    Raises:
        Invalid: ``wrong-words`` when the number of words of a part does not fit the arrays.
    """
    n_counts, n_numbers = layout(arrays)
    total = np.zeros(n_counts + LIMBS * n_numbers, _WORD)
    for part in parts:
        _check_length(n_counts, n_numbers, part)
        total[:n_counts] += part[:n_counts]
    sums = total[n_counts:].reshape(LIMBS, n_numbers)
    numbers = [part[n_counts:].reshape(LIMBS, n_numbers) for part in parts]
    for chunk in _chunks(n_numbers) if numbers else ():
        _add_numbers(np.stack([one[:, chunk] for one in numbers]), sums[:, chunk])
    return total


def mask(
    encoded: Encoded, *, own: str, holders: Sequence[str], secrets: Mapping[str, bytes], context: bytes
) -> NDArray[np.uint64]:
    """The words with this holder's pads added.

    Args:
        encoded: The holder's own sums.
        own: DID of this holder.
        holders: DIDs of all holders of the round, the own one among them.
        secrets: X25519 shared secret by the other holder's DID.
        context: What makes the round unique; the same at every holder. No two rounds may share it.

    Returns:
        Words of the same layout, uniformly distributed for anybody who lacks the secrets. With one holder
        there is nobody to hide among, and the words come back as they are.
    """
    n_counts, _ = layout(encoded.arrays)
    plus, minus = [encoded.words], list[NDArray[np.uint64]]()
    for other in holders:
        if other != own:
            parts = minus if own > other else plus
            parts.append(keystream(secrets[other], context, encoded.words.size))
            if len(parts) > 1 and len(parts) * encoded.words.nbytes > _PADS_BYTES:
                parts[:] = [add(encoded.arrays, parts)]
    words = add(encoded.arrays, plus)
    if minus:
        less = add(encoded.arrays, minus)
        _negate(less, n_counts)
        _add_into(words, less, n_counts)
    return words


def keystream(secret: bytes, context: bytes, n_words: int) -> NDArray[np.uint64]:
    """Pad of a pair of holders: ChaCha20 keystream as words."""
    salt = hashlib.sha256(context).digest()
    key = HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"salerno pairwise mask 1").derive(secret)
    cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    pad = np.zeros(n_words, _WORD)
    if n_words:
        cipher.update_into(bytes(pad.nbytes), memoryview(pad.view(np.uint8)))  # type: ignore[arg-type]
    return pad


def layout(arrays: Sequence[ArraySpec]) -> tuple[int, int]:
    """How many counts and how many fixed-point numbers the arrays hold."""
    sizes = {"i": 0, "f": 0}
    for spec in arrays:
        if spec.kind not in sizes or any(n < 0 for n in spec.shape):
            raise Invalid("wrong-sums", f"The sums {spec.name!r} have an unknown kind or shape")
        sizes[spec.kind] += _size(spec)
    return sizes["i"], sizes["f"]


def n_words(arrays: Sequence[ArraySpec]) -> int:
    """How many words a share of this layout has."""
    counts, numbers = layout(arrays)
    return counts + LIMBS * numbers


def _size(spec: ArraySpec) -> int:
    size = 1
    for n in spec.shape:
        size *= n
    return size


def _check_length(n_counts: int, n_numbers: int, words: NDArray[np.uint64]) -> None:
    if words.size != n_counts + LIMBS * n_numbers:
        raise Invalid("wrong-words", f"A share has {words.size} words, not {n_counts + LIMBS * n_numbers}")


def _encode_counts(name: str, array: NDArray[np.generic], bits: int) -> NDArray[np.uint64]:
    flat = array.reshape(-1)
    if flat.size and (int(flat.max()) >= 1 << bits or int(flat.min()) <= -(1 << bits)):
        raise Invalid("too-large", f"A count in {name!r} is too large to be added")
    return flat.astype(np.int64).view(_WORD)


def _finite(name: str, array: NDArray[np.generic], bits: int) -> NDArray[np.float64]:
    flat = array.reshape(-1).astype(np.float64)
    if not np.isfinite(flat).all():
        raise Invalid("not-finite", f"The sums {name!r} hold a value that is not finite")
    if flat.size and np.abs(flat).max() >= np.ldexp(1.0, bits):
        raise Invalid("too-large", f"A value in {name!r} is too large to be added exactly")
    return flat


def _chunks(size: int) -> Iterator[slice]:
    """Slices that keep the working arrays in the processor's cache."""
    for start in range(0, size, _CHUNK):
        yield slice(start, start + _CHUNK)


def _encode_numbers(flat: NDArray[np.float64], limbs: NDArray[np.uint64]) -> None:
    """Write the numbers as limbs into zeros of shape (4, n), lowest first."""
    fraction, exponent = np.frexp(np.abs(flat))
    mantissa = np.ldexp(fraction, 53).astype(np.uint64)
    shift = exponent.astype(np.int64) - 53 + FRACTION_BITS
    # Bits below the last fractional one are cut off; a shift by 64 or more is undefined in C, hence the cap.
    mantissa >>= np.clip(-shift, 0, 63).astype(np.uint64)
    shift = np.maximum(shift, 0)
    limb, bit = np.divmod(shift, 64)
    low = mantissa << bit.astype(np.uint64)
    high = (mantissa >> _ONE) >> (63 - bit).astype(np.uint64)
    for i in range(LIMBS):
        np.copyto(limbs[i], low, where=limb == i)
        if i:
            np.copyto(limbs[i], high, where=limb == i - 1)
    _negate_where(limbs, flat < 0)


def _decode_numbers(limbs: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The nearest float64, ties to even, of each 256-bit number; shape (4, n), lowest limb first."""
    limbs = limbs.copy()
    negative = limbs[LIMBS - 1] >> np.uint64(63) != 0
    _negate_where(limbs, negative)
    top, following = limbs[0].copy(), np.zeros_like(limbs[0])
    index = np.zeros(top.size, np.int64)
    sticky = np.zeros(top.size, bool)
    rest = limbs[0] != 0  # whether any limb below the following one is set
    for i in range(1, LIMBS):
        used = limbs[i] != 0
        below = np.zeros(top.size, bool) if i == 1 else rest
        np.copyto(following, limbs[i - 1], where=used)
        np.copyto(top, limbs[i], where=used)
        np.copyto(sticky, below, where=used)
        np.copyto(index, i, where=used)
        if i > 1:
            rest = rest | (limbs[i - 1] != 0)
    zeros = _leading_zeros(top)
    mantissa = (top << zeros) | ((following >> _ONE) >> (np.uint64(63) - zeros))
    sticky |= following << zeros != 0
    kept, cut = mantissa >> np.uint64(11), mantissa & np.uint64(0x7FF)
    half = np.uint64(0x400)
    up = (cut > half) | ((cut == half) & (sticky | (kept & _ONE != 0)))
    kept += up.astype(np.uint64)
    exponent = index * 64 - zeros.astype(np.int64) + 11 - FRACTION_BITS
    value: NDArray[np.float64] = np.ldexp(kept.astype(np.float64), exponent)
    value[negative] *= -1.0
    return value


def _leading_zeros(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Zero bits above the highest set one; 63 for zero, so that a shift by it stays defined."""
    high = words >> np.uint64(32)
    upper = high != 0
    part = np.where(upper, high, words & np.uint64(0xFFFFFFFF))
    _, bits = np.frexp(part.astype(np.float64))
    zeros: NDArray[np.uint64] = np.minimum(64 - bits - 32 * upper, 63).astype(np.uint64)
    return zeros


def _add_numbers(limbs: NDArray[np.uint64], sums: NDArray[np.uint64]) -> None:
    """Write the sums of numbers of shape (parts, 4, n); halves of a limb leave room for carries."""
    low, high = (limbs & _HALF).sum(axis=0), (limbs >> _HALF_BITS).sum(axis=0)
    carry = np.zeros(limbs.shape[2], _WORD)
    for i in range(LIMBS):
        low[i] += carry
        high[i] += low[i] >> _HALF_BITS
        sums[i] = (low[i] & _HALF) | (high[i] << _HALF_BITS)
        carry = high[i] >> _HALF_BITS


def _add_into(total: NDArray[np.uint64], part: NDArray[np.uint64], n_counts: int) -> None:
    total[:n_counts] += part[:n_counts]
    sums, parts = total[n_counts:].reshape(LIMBS, -1), part[n_counts:].reshape(LIMBS, -1)
    carry = np.zeros(sums.shape[1], bool)
    for i in range(LIMBS):
        sums[i] += parts[i]
        over = sums[i] < parts[i]
        sums[i] += carry
        carry = over | (carry & (sums[i] == 0))


def _negate(words: NDArray[np.uint64], n_counts: int) -> None:
    """Two's complement of every count and number, in place."""
    np.negative(words[:n_counts], out=words[:n_counts])
    _negate_where(words[n_counts:].reshape(LIMBS, -1), np.True_)


def _negate_where(limbs: NDArray[np.uint64], where: NDArray[np.bool_] | np.bool_) -> None:
    if not np.any(where):
        return
    carry = np.broadcast_to(where, limbs.shape[1:]).copy()
    for i in range(LIMBS):
        np.invert(limbs[i], out=limbs[i], where=where)
        limbs[i] += carry
        carry &= limbs[i] == 0
