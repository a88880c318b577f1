// Quantisation by a row's own maximum (format page, 3.3), and the parts of it that the norms share.

// Largest activation, 127 * 256.
#define MAX_ACTIVATION 32512ull

// g, a' and r of a row's maximum. A row of zeros has r = 0, so that its activations are 0.
struct Reciprocal {
    i32 shift;
    i64 reduced;
    i32 reciprocal;

    __device__ __forceinline__ explicit Reciprocal(u64 maximum) {
        shift = bits(maximum) - 30;
        reduced = rounded((i64)maximum, shift);
        reciprocal = maximum == 0 ? 0 : (i32)quotient(MAX_ACTIVATION << 45, (u64)reduced);
    }

    // R(R(z, g) * r, last).
    __device__ __forceinline__ i32 times(i64 z, i32 last) const {
        return (i32)rounded_down(product((i32)rounded(z, shift), reciprocal), last);
    }

    __device__ __forceinline__ i32 int16(i64 z) const { return times(z, 45); }

    __device__ __forceinline__ i32 int8(i64 z) const { return times(z, 53); }

    // Of a row whose z has the unit 2^-(unit - 32) for int16, 2^-(unit - 24) for int8.
    __device__ __forceinline__ Scale scale(i32 unit) const {
        return normalised<16>(quotient((u64)reduced << 32, MAX_ACTIVATION), shift - unit);
    }
};

// Balanced limbs of an activation, q = 256 * high + low, into a row's two planes.
__device__ __forceinline__ void put_limbs(i8* limbs, u32 stride, u32 place, i32 q) {
    i32 high = (q + 128) >> 8;
    limbs[place] = (i8)high;
    limbs[stride + place] = (i8)(q - 256 * high);
}

// A row's activations, and zeros behind them; all threads of the block.
template <class Numbers>
__device__ __forceinline__ void put_row(const Numbers& z, const Reciprocal& reciprocal, u32 width,
                                        u32 stride, i8* limbs) {
    for (u32 i = threadIdx.x; i < stride; i += blockDim.x) {
        put_limbs(limbs, stride, i, i < width ? reciprocal.int16(z(i)) : 0);
    }
}

// A row that is quantised without a norm: activations, and their scale; all threads of the block.
template <class Numbers>
__device__ __forceinline__ void quantise_row(const Numbers& z, i32 unit, u32 width, u32 stride,
                                             i8* limbs, Scale* scale) {
    i64 maximum = 0;
    for (u32 i = threadIdx.x; i < width; i += blockDim.x) {
        maximum = max(maximum, (i64)size(z(i)));
    }
    Reciprocal reciprocal(over_block<Maximum>(maximum));
    if (threadIdx.x == 0) {
        *scale = reciprocal.scale(unit + 32);
    }
    put_row(z, reciprocal, width, stride, limbs);
}
