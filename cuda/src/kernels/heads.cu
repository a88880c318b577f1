// Queries, keys and values of a row: from what the linear map gives to what attention reads. Norm
// (format page, 3.5), rotation (3.6) and quantisation (3.3); keys and values go to the cache.

// Pairs of elements i and i + d/2 that a lane holds: i = lane + 32 s.
#define PAIRS 8

// One head's row, a warp's; elements past its end are 0.
struct HeadRow {
    i32 x[PAIRS][2];
    u32 half;

    __device__ __forceinline__ HeadRow(const i32* from, u32 half) : half(half) {
#pragma unroll
        for (u32 s = 0; s < PAIRS; ++s) {
            const u32 i = lane() + 32 * s;
            x[s][0] = i < half ? from[i] : 0;
            x[s][1] = i < half ? from[i + half] : 0;
        }
    }

    // Calls `of` with each element and its place.
    template <class Of>
    __device__ __forceinline__ void each(const Of& of) {
#pragma unroll
        for (u32 s = 0; s < PAIRS; ++s) {
            const u32 i = lane() + 32 * s;
            if (i < half) {
                of(x[s][0], i);
                of(x[s][1], i + half);
            }
        }
    }

    __device__ __forceinline__ u64 maximum() {
        u32 most = 0;
        each([&](i32 x, u32) { most = max(most, size(x)); });
        return (u64)over_lanes<Maximum>((i64)most);
    }

    __device__ __forceinline__ void norm(const i32* gamma, i32 gamma_exponent, const Width& width) {
        const i32 reduction = ::reduction((i64)maximum());
        i64 squares = 0, largest = 0;
        each([&](i32 x, u32 i) {
            const i32 x_reduced = reduced(x, reduction);
            squares += product(x_reduced, x_reduced);
            largest = max(largest, (i64)size(product(x_reduced, gamma[i])));
        });
        squares = over_lanes<Sum>(squares);
        largest = over_lanes<Maximum>(largest);
        const Root mean(squares, reduction, width);
        const i32 shift = bits((u64)largest) - 30;
        const Scale factor = normalised<24>(quotient(width.root << 31, mean.root),
                                            mean.exponent - width.root_exponent - 31);
        const i32 exponent = factor.exponent + shift + gamma_exponent + 16;
        each([&](i32& x, u32 i) {
            const i64 z = product(reduced(x, reduction), gamma[i]);
            x = rounded_saturated(product((i32)rounded(z, shift), factor.mantissa), -exponent);
        });
    }

    // `angles`: d/2 cosines, then as many sines.
    __device__ __forceinline__ void rotate(const i32* angles) {
#pragma unroll
        for (u32 s = 0; s < PAIRS; ++s) {
            const u32 i = lane() + 32 * s;
            if (i < half) {
                const i32 cos = angles[i], sin = angles[i + half];
                const i64 first = product(x[s][0], cos) - product(x[s][1], sin);
                const i64 second = product(x[s][1], cos) + product(x[s][0], sin);
                x[s][0] = rounded_saturated(first, 30);
                x[s][1] = rounded_saturated(second, 30);
            }
        }
    }
};

// A warp for each head of queries, keys and values of a row; `linear`: their rows of Q16, in this
// order. A gamma is none in shapes without norms of heads. The queries' scales are those of the scores:
// times `head_mantissa` * 2^`head_exponent`, which is log2(e) / sqrt(d).
extern "C" __global__ void __launch_bounds__(128)
heads(const i32* linear, const i32* angles, const i32* query_gamma, i32 query_gamma_exponent,
      const i32* key_gamma, i32 key_gamma_exponent, i64 epsilon, u64 width_root,
      i32 width_root_exponent, u32 head_mantissa, i32 head_exponent, u32 query_heads, u32 kv_heads,
      u32 head_dim, const u32* positions, const u32* sequences, const u32* tables, u32 table_stride,
      i8* slabs, u32 layer, u32 layers, i8* queries, Scale* query_scales) {
    const u32 row = blockIdx.x;
    const u32 units = query_heads + 2 * kv_heads;
    const u32 unit = blockIdx.y * (blockDim.x / 32) + warp();
    if (unit >= units) {
        return;
    }
    HeadRow head(linear + ((size_t)row * units + unit) * head_dim, head_dim / 2);
    const bool is_query = unit < query_heads, is_value = unit >= query_heads + kv_heads;
    if (!is_value) {
        const i32* gamma = is_query ? query_gamma : key_gamma;
        if (gamma != nullptr) {
            const Width width = {epsilon, 16, width_root, width_root_exponent};
            head.norm(gamma, is_query ? query_gamma_exponent : key_gamma_exponent, width);
        }
        head.rotate(angles + (size_t)row * head_dim);
    }
    const Reciprocal reciprocal(head.maximum());
    if (is_query) {
        const u32 stride = padded(head_dim, 64);
        const size_t place = (size_t)row * query_heads + unit;
        i8* limbs = queries + place * 2 * stride;
        head.each([&](i32 x, u32 i) { put_limbs(limbs, stride, i, reciprocal.int16(x)); });
        for (u32 i = head_dim + lane(); i < stride; i += 32) {
            put_limbs(limbs, stride, i, 0);
        }
        if (lane() == 0) {
            const Scale scale = reciprocal.scale(16 + 32);
            query_scales[place] = normalised<16>((u64)scale.mantissa * head_mantissa,
                                                 scale.exponent + head_exponent);
        }
        return;
    }
    const Cache cache = {slabs, tables, table_stride, layer, layers, kv_heads, head_dim};
    const u32 position = positions[row], place = position % SLAB;
    const Pages pages = cache.pages(sequences[row], position / SLAB, (unit - query_heads) % kv_heads);
    const u32 stride = is_value ? SLAB : 1;
    i8* numbers = is_value ? pages.values + place : pages.keys + place * pages.key_stride;
    head.each([&](i32 x, u32 i) { numbers[i * stride] = (i8)reciprocal.int8(x); });
    if (lane() == 0) {
        const Scale scale = reciprocal.scale(16 + 24);
        (is_value ? pages.value_scales : pages.key_scales)[place] = {(u16)scale.mantissa,
                                                                     (i16)scale.exponent};
    }
}
