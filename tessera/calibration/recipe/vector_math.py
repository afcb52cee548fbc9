"""exp and log of single precision, written so that the compiler turns loops over them into vector instructions.

Calls into the C library keep a loop scalar, which made these two functions the larger half of an epoch. Both reduce the
argument by powers of two and evaluate a polynomial (the coefficients are those of Moshier's Cephes library, netlib):

    exp(x) = 2^n exp(r),  n = round(x / ln 2),  r = x - n ln 2 in two parts;   relative error below 1e-7 on [-87, 88]
    log(x) = e ln 2 + log(m),  x = 2^e m,  sqrt(1/2) <= m < sqrt(2);           relative error below 1e-7

Arguments of `exp` outside the range are clipped to it; those of `log` have to be positive and normal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_F = np.float32
_LOG2E, _LN2_HIGH, _LN2_LOW = _F(1.44269504), _F(0.693359375), _F(-2.12194440e-4)
_ROUND = _F(12582912.0)  # 1.5 * 2^23: adding and subtracting it rounds to the nearest whole number
_ROUND_BITS = np.int32(0x4B400000)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA = np.int32(23)


@intrinsic
def float_of_bits(_context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""
    return types.float32(types.int32), lambda _c, builder, _s, a: builder.bitcast(a[0], ir.FloatType())


@intrinsic
def bits_of_float(_context: Any, value: Any) -> Any:
    """The 32 bits of a float32, as int32."""
    return types.int32(types.float32), lambda _c, builder, _s, a: builder.bitcast(a[0], ir.IntType(32))


@njit(cache=True, inline="always")
def exp(x):  # type: ignore[no-untyped-def]
    """exp(x), float32."""
    x = min(max(x, _F(-87.0)), _F(88.0))
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = _F(1.9875691500e-4)
    p = p * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    p = p * r * r + r + _F(1)
    power = np.int32(bits_of_float(shifted) - _ROUND_BITS)
    return float_of_bits(np.int32(bits_of_float(p) + np.int32(power << _MANTISSA)))


@njit(cache=True, inline="always")
def log(x):  # type: ignore[no-untyped-def]
    """log(x), float32, for positive normal x."""
    bits = bits_of_float(x)
    exponent = np.int32((bits - _SQRT_HALF_BITS) >> _MANTISSA)
    m = float_of_bits(np.int32(bits - np.int32(exponent << _MANTISSA))) - _F(1)
    p = _F(7.0376836292e-2)
    p = p * m + _F(-1.1514610310e-1)
    p = p * m + _F(1.1676998740e-1)
    p = p * m + _F(-1.2420140846e-1)
    p = p * m + _F(1.4249322787e-1)
    p = p * m + _F(-1.6668057665e-1)
    p = p * m + _F(2.0000714765e-1)
    p = p * m + _F(-2.4999993993e-1)
    p = p * m + _F(3.3333331174e-1)
    square = m * m
    power = _F(exponent)
    return m + (p * m * square + power * _LN2_LOW - _F(0.5) * square) + power * _LN2_HIGH
