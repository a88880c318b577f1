// Powers of two from the exp2 table (format page, 3.7).

// Interval b of the table: E[b] and E[b + 1] - E[b].
struct __align__(8) Interval {
    i32 below;
    i32 slope;
};

// All 256 of them; all threads of the block.
__device__ __forceinline__ void put_intervals(const i32* exp2, Interval* intervals) {
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x) {
        intervals[i] = {exp2[i], exp2[i + 1] - exp2[i]};
    }
}

// T(f) of the 16 lowest digits: at most 2^30.
__device__ __forceinline__ u32 power(u32 fraction, const Interval* exp2) {
    const Interval interval = exp2[(fraction >> 8) & 255];
    const i64 part = rounded_down(product(interval.slope, fraction & 255), 8);
    return (u32)(interval.below + (i32)part);
}

// R(power, whole).
__device__ __forceinline__ u32 halved(u32 power, u32 whole) {
    return whole < 32 ? (power + ((1u << whole) >> 1)) >> whole : 0;
}
