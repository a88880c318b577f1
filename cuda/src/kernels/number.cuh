// The functions that every operator is made of (format page, 1), in 64 bits. All are total: within the
// page's bounds they are the mathematical functions, and beyond them some numbers.

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// m * 2^e with m = 0, or 2^15 <= m < 2^16.
struct __align__(8) Scale {
    i32 mantissa;
    i32 exponent;
};

__device__ __forceinline__ i64 product(i32 x, i32 y) {
    return (i64)x * (i64)y;
}

// R(x, shift) for 1 <= shift <= 63.
__device__ __forceinline__ i64 rounded_down(i64 x, i32 shift) {
    return ((x >> (shift - 1)) + 1) >> 1;
}

// R(x, shift) for -63 <= shift <= 63; where the shift is negative, the result is known to fit.
__device__ __forceinline__ i64 rounded(i64 x, i32 shift) {
    return shift <= 0 ? (i64)((u64)x << -shift) : rounded_down(x, shift);
}

__device__ __forceinline__ i32 saturated(i64 x) {
    return (i32)max(min(x, (i64)0x7fffffff), -(i64)0x80000000);
}

// sat(R(x, shift)).
__device__ __forceinline__ i32 rounded_saturated(i64 x, i32 shift) {
    if (shift > 0) {
        return saturated(shift > 63 ? 0 : rounded_down(x, shift));
    }
    return saturated((i64)((u64)(i64)saturated(x) << min(-shift, 31)));
}

__device__ __forceinline__ u32 size(i32 x) {
    return x < 0 ? 0u - (u32)x : (u32)x;
}

__device__ __forceinline__ u64 size(i64 x) {
    return x < 0 ? 0ull - (u64)x : (u64)x;
}

// Binary digits; 0 for 0.
__device__ __forceinline__ i32 bits(u64 x) {
    return 64 - __clzll((i64)x);
}

// Floor of the square root, for x < 2^62.
__device__ __forceinline__ u64 root(u64 x) {
    u32 found = 0;
    for (u32 bit = 1u << 30; bit != 0; bit >>= 1) {
        const u32 with = found | bit;
        found = (u64)with * with <= x ? with : found;
    }
    return found;
}

// Floor of the quotient. A divisor of 0, which no sound number leads to, counts as 1.
__device__ __forceinline__ u64 quotient(u64 a, u64 b) {
    return a / max(b, 1ull);
}

// norm(t, exponent) with so many digits (format page, 1).
template <i32 DIGITS>
__device__ __forceinline__ Scale normalised(u64 t, i32 exponent) {
    if (t == 0) {
        return {0, -128};
    }
    i32 shift = bits(t) - DIGITS;
    i32 mantissa = (i32)rounded((i64)t, shift);
    if (mantissa == 1 << DIGITS) {
        mantissa = 1 << (DIGITS - 1);
        shift += 1;
    }
    return {mantissa, exponent + shift};
}

// R(m * m', 8) of two mantissas: below 2^24.
__device__ __forceinline__ i32 joint_mantissa(u32 one, u32 other) {
    return (i32)((one * other + 128) >> 8);
}
