// A query's output in Q16 from the parts of all splits. One block for a row and a head.
extern "C" __global__ void __launch_bounds__(128)
attention_out(const u32* positions, u32 head_dim, u32 split_slabs, u32 splits, const Maxima* maxima,
              const i64* denominators, const i64* parts, i32* out) {
    const size_t place = (size_t)blockIdx.x * gridDim.y + blockIdx.y;
    const u32 used = min(positions[blockIdx.x] / (SLAB * split_slabs) + 1, splits);
    const u32 value_rows = padded(head_dim, 16);
    i64 score = Maximum::nothing(), shifted = Maximum::nothing(), denominator = 0;
    for (u32 i = threadIdx.x; i < used; i += blockDim.x) {
        const Maxima some = maxima[place * splits + i];
        score = max(score, (i64)some.score);
        shifted = max(shifted, some.shifted);
        denominator += denominators[place * splits + i];
    }
    score = over_block<Maximum>(score);
    shifted = over_block<Maximum>(shifted);
    denominator = over_block<Sum>(denominator);
    const i32 shift = bits((u64)denominator) - 31;
    const Scale inverse =
        normalised<16>(quotient(1ull << 62, (u64)rounded(denominator, shift)), -32 - shift);
    const i32 exponent = inverse.exponent + common_exponent(score, shifted) + 17;
    for (u32 i = threadIdx.x; i < head_dim; i += blockDim.x) {
        i64 sum = 0;
#pragma unroll 8
        for (u32 split = 0; split < used; ++split) {
            sum += parts[(place * splits + split) * value_rows + i];
        }
        out[place * head_dim + i] = rounded_saturated(sum * inverse.mantissa, -exponent);
    }
}
