"""The bounds of native buckets, and the index of a value's bucket.

A schema n from -4 to 8 divides each power of two into 2**n buckets, so a bucket's upper bound is ``2**(2**-n)`` times
its lower one. Bucket i has values up to ``2**(i * 2**-n)``, inclusive. The bounds within a power of two are those of
Prometheus and its client libraries, bit for bit, so that the same value is in the same bucket everywhere. They are 256
constants, because most are not the nearest double of the power.

https://prometheus.io/docs/specs/native_histograms/#schema
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

__all__ = ["MAX_INDEX", "MAX_SCHEMA", "MIN_SCHEMA", "bucket_index", "schema_of_growth", "upper_bound"]

MIN_SCHEMA: Final = -4
MAX_SCHEMA: Final = 8

_LARGEST: Final = 1.7976931348623157e308
_EXPONENTS: Final = 1024  # the largest double is just below 2**1024

# The 52 bits after the point of each bound in [0.5, 1) of schema 8. Those of a smaller schema are every second one of
# them, every fourth, and so on.
_MANTISSAS: Final = (
    "000000000000000b1afa5abcbf0163da9fb333502168143b028102c9a3e778061037d42e11bbcc04315e86e7f8404e5f72f654b1"
    "059b0d31585740650a0e3c1f890706b29ddf6dd07bd42b72a8360874518759bc8092bdf66607e009e3ecac6f3830a9c79b1f3919"
    "0b5586cf9890f0c0f145e46c850cc922b7247f60d83b23395dea0e3ec32d3d1a20efa55fdfa9c50fb66affed31a1073028d7233d"
    "11301d0125b5011edbab5e2ab512abdc06c31cb136a814f204aa1429aaea92ddf14e95934f312d15a98c8a58e50166a45471c3c1"
    "172b83c7d517b17ed48695bbc018af9388c8de91972658375d2f1a35beb6fcb751af99f8138a1c1bbe084045cd31c82f95281c6b"
    "1d4873168b9aa1e0e75eb440261ed5022fcd91c1f9c18438ce4c2063b88628cd6212be3578a81921f49917ddc9522bdda27912d0"
    "2387a6e7562382451ffb82140a251ce4fb2a63e25e85711ece7426b4565e27cdd2780e341ddf2a284dfe1f56380291ba7591bb6f"
    "29e9df51fdee12ab8a66d10f132b87fd0dad98f2c57e39771b2e2d285a6e4030b2df961f6415892ecafa93e2f552f9d24abd886a"
    "306fe0a31b71531432edeeb2fd32170fc4cd83132eb83ba8ea3233c08b26416ff3496266e3fa2d356c55f929ff036431a2de883a"
    "371a7373aa9ca37f26231e754938cae6d05d86439a401b7140ed3a7db34e59ff63b57fbfec6cf43c32dc313a8e33d0e544ede172"
    "3dea64c1234223ec70df1c51753fa4504ac801b40822c367a0244160a21f72e2a423fb2709468a431f5d950a89643ffa3f84b9d4"
    "44e086061892d45c2042a7d23246a41ed1d00574786d668b3236486a2b5c13cd0494e1e192aed24a32af0d7d3de4b17dea6db7d7"
    "4bfdad5362a274ce41b817c1144dcb299fddd0d4eb2d81d8abfe4f9b2769d2ca7508417f4531ef516daa2cf66425257de83f4eef"
    "5342b569d4f81542e2f4f6ad27551a4ca5d920d56070dde910d056f4736b527da57e27dbe2c4cf58d12d497c7fc59c0827ff07cb"
    "5ab07dd4854295ba11fba87a025c9268a5946b65d84590998b925e76f15ad21485f6a320dceb71605e1b976dc086152ae6cdf6f4"
    "6247eb03a5584633dd1d1929fd6434634ccc31e652b9febc8fb56623882552224671c1c70833f568155d44ca972690f4b19e9537"
    "6a09e667f3bcc6b052fa75173e6c012750bdabe6cfdcddd476456dfb23c651a2e6ef9298593ae46ff7df951948270f7466f42e85"
    "71f75e8ec5f7372f8286ead08973f9a48a5817274fbd35d7cbfc75feb564267c877024b1ab6e09780694fde5d3e790b938ac1cf5"
    "7a11473eb01867b17b0976cfda7c1ed0130c1317d26a62ff86ef7e2f336cf4e617f3878491c49080427543e1a10814d2add106d8"
    "82589994cce118364c1eb941f68471a4623c7ab857f4179f5b1f868d99b4492eb879cad931a43588ac7d98a669789bd0a478580d"
    "8ace5422aa0db8be05bad617788cf3216b5448b8e06a5e0866d88f1ae99157736902fed0282c8a9145b0b91ffc5925c353aa2fe2"
    "93737b0cdc5e4948b82b5f98e495a44cbc8520d96bdd9a7670b197d829fde4e4f98f33e47a22a29a0f170ca07b89b2bb4d53fe0b"
    "9c49182a3f08f9d674194bb8d49e86319e323219fa5e8d07f29ca0c667b5de564a1e7aed8eb8bba309bec4a2d32a42c980460ad7"
    "a5503b23e255ba674a8af46051a799e1330b356a8bfe53c12e57a9e6b5579fdbeab0e521356eb9ac36bbfd3f378ad5ff3a3c2773"
    "ae89f995ad3acafb4ce622f2feb0e07298db663b20ce6c9a8950b33a2b84f15fab468415b749b0b59728de55938b6c6e29f1c529"
    "b7f76f2fb5e45b928cf22749e2ba5b030a10647bb8e0b79a6f1dbcc1e904bc1d0bdf69c3f3a205bf2c25bd71e06c06286141b33b"
    "c199bdd85529ac2d1cd9fa652ac40ab5fffd078c544778fafb20c67f12e57d149c7ba88988c931c8f6d9406e7b2ca3405751c4d8"
    "cb720dcef9066ccb0f2e6d1672cdf0b555dc3f6cf3155b5bab70d072d4a078979d1b532b08c966d2f87080d89eed43c8eacaa1d3"
    "d5818dcfba486d6c76e862e6d2d80e316c98396d955d71ff6074da9e603db3284dbe7cd63a8313dd321f301b45ede7d5641c0656"
    "dfc97337b9b5de11676b197d16e264614f5a126e3b333b16ee0fe502ee78b3ff5e653924676d75e7a51fbc74c81e8f7977cdb73e"
    "ea4afa2a490d8eb9f4867cca6decf482d8e67eeee4aaa218850eefa1bee615a26f0f9c1cb64129f252b376bba95f3ac948dd7272"
    "f50765b6e453ef6632798844f6f7bfdad9cbe10f91d802243c86fa7c1819e90d6fbdba3692d512fd3c22b8f71eefe9d96b2a23d6"
)
_MANTISSA_DIGITS: Final = 13
# By schema; made when a schema is first needed.
_BOUNDS_OF: Final[dict[int, tuple[float, ...]]] = {}

MAX_INDEX: Final = 1075 << MAX_SCHEMA
"""No bucket's index is farther from 0, not that of the smallest double at the finest resolution either."""


def _bounds(schema: int) -> tuple[float, ...]:
    bounds = _BOUNDS_OF.get(schema)
    if bounds is None:
        step = _MANTISSA_DIGITS << (MAX_SCHEMA - schema)
        bounds = _BOUNDS_OF[schema] = tuple(
            float.fromhex(f"0x1.{_MANTISSAS[start : start + _MANTISSA_DIGITS]}p-1")
            for start in range(0, len(_MANTISSAS), step)
        )
    return bounds


def schema_of_growth(growth: float) -> int:
    """Return the schema whose buckets grow by at most `growth`, which is above 1, as far as there is one.

    >>> schema_of_growth(1.1), schema_of_growth(2.0), schema_of_growth(1000.0)
    (3, 0, -3)
    """
    floor = math.floor(math.log2(math.log2(growth)))
    return max(MIN_SCHEMA, min(MAX_SCHEMA, -floor))


def bucket_index(value: float, schema: int) -> int:
    """Return the index of the bucket of abs(`value`), which is neither 0 nor NaN, whatever the zero threshold.

    The bucket of an infinity is the one after that of the largest double.

    >>> bucket_index(1.0, 3), bucket_index(2.0, 3), bucket_index(2.1, 3)
    (0, 8, 9)
    """
    size = abs(value)
    if size > _LARGEST:
        return bucket_index(_LARGEST, schema) + 1
    fraction, exponent = math.frexp(size)
    if schema > 0:
        return bisect_left(_bounds(schema), fraction) + ((exponent - 1) << schema)
    if fraction == 0.5:
        exponent -= 1
    return -(-exponent >> -schema)


def upper_bound(index: int, schema: int) -> float:
    """Return the largest value of the positive bucket `index`; that of the last finite one is the largest double.

    >>> upper_bound(0, 3), upper_bound(-8, 3), upper_bound(1024, 0)
    (1.0, 0.5, 1.7976931348623157e+308)
    """
    if schema > 0:
        fraction = _bounds(schema)[index & ((1 << schema) - 1)]
        exponent = (index >> schema) + 1
    else:
        fraction = 0.5
        exponent = (index << -schema) + 1
    if exponent > _EXPONENTS:
        return _LARGEST if exponent == _EXPONENTS + 1 and fraction == 0.5 else math.inf
    bound = math.ldexp(fraction, exponent)
    # Among the subnormal numbers, the nearest double may be above the bound and so in the next bucket.
    if bound < 2.0**-1021 and bound > 0.0 and bucket_index(bound, schema) > index:
        bound = math.nextafter(bound, 0.0)
    return bound
