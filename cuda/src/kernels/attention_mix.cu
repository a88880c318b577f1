// Weights of a split's positions from all positions' maxima, and the parts of D and o that they add.

// Dimensions of a block, so that its sums fit its registers; the scores of longer rows are made again.
#define MIX_DIMENSIONS 128

// What the weights of one query have in common: S, and 31 + K.
struct __align__(8) Common {
    i32 score;
    i32 shift;
};

// w[j]; adds to `denominator` what the position adds to D.
__device__ __forceinline__ u32 weight(i32 score, Common common, CachedScale value,
                                      const Interval* exp2, i64& denominator) {
    const u32 delta = (u32)common.score - (u32)score;
    const u32 part = power(delta, exp2), whole = delta >> 16;
    denominator += halved(part, whole);
    // At least 31, because U bounds it.
    const i32 shift = (i32)whole + common.shift - value.exponent;
    const i64 exact = (i64)((u64)part * value.mantissa);
    return (u32)min(rounded_down(exact, max(1, min(shift, 63))), (i64)32767);
}

// GROUPS of warps with TILES tiles of four queries each; then each warp mixes some dimensions for all.
template <u32 TILES, u32 GROUPS>
__device__ __forceinline__ void attention_mix(const Attention& of, const Maxima* maxima,
                                              const i32* exp2, i64* denominators, i64* parts) {
    constexpr u32 QUERIES = 4 * TILES * GROUPS;
    // Of sixteen dimensions each, a warp's.
    constexpr u32 ROWS = MIX_DIMENSIONS / 16 / (STRIPS * GROUPS);
    __shared__ Query queries[QUERIES];
    __shared__ Common common[QUERIES];
    __shared__ Interval intervals[256];
    // Limbs of the weights of a slab's positions: one slab's while the next one's are made. A lane's
    // 16 bytes of column 2 q + limb stand at part ^ (q mod 4), so that neither writing nor reading
    // meets in a bank.
    __shared__ uint4 weights[2][2 * QUERIES][4];
    __shared__ i64 sums[STRIPS][QUERIES];
    const u32 split = blockIdx.z % of.splits, first_dimension = blockIdx.z / of.splits * MIX_DIMENSIONS;
    u32 first, end;
    open_tile<QUERIES>(of, split, queries, first, end);
    if (first >= end) {
        return;
    }
    for (u32 i = warp(); i < QUERIES; i += blockDim.x / 32) {
        const u32 used = queries[i].last < 0 ? 0 : of.splits_of(queries[i].last);
        i64 score = Maximum::nothing(), shifted = Maximum::nothing();
        for (u32 from = lane(); from < used; from += 32) {
            const Maxima some = maxima[(size_t)queries[i].place * of.splits + from];
            score = max(score, (i64)some.score);
            shifted = max(shifted, some.shifted);
        }
        score = over_lanes<Maximum>(score);
        shifted = over_lanes<Maximum>(shifted);
        if (lane() == 0) {
            common[i] = {(i32)score, 31 + common_exponent(score, shifted)};
        }
    }
    put_intervals(exp2, intervals);
    __syncthreads();

    const u32 sequence = of.sequences[of.tiles[blockIdx.x].row];
    const u32 value_rows = padded(of.cache.head_dim, 16);
    const u32 strip = warp() % STRIPS * 16, group = warp() / STRIPS * 4 * TILES;
    const u32 g = fragment_row(), t = fragment_part();
    Scores<TILES> scores(of, queries + group);
    i64 denominator[TILES] = {};
    i32 mixed[ROWS][TILES * GROUPS][4] = {};
    for (u32 slab = first; slab < end; ++slab) {
        const Pages pages = of.cache.pages(sequence, slab, blockIdx.y);
        // On their way while the weights are made.
        uint4 values[ROWS][2];
#pragma unroll
        for (u32 row = 0; row < ROWS; ++row) {
            const u32 dimension = first_dimension + (warp() * ROWS + row) * 16;
            // The same for the whole warp.
            if (dimension < value_rows) {
                const i8* from = pages.values + (dimension + g) * SLAB + 16 * t;
                values[row][0] = load(from);
                values[row][1] = load(from + 8 * SLAB);
            }
        }
        scores.multiply(pages, strip);
        uint4(*made)[4] = weights[slab % 2];
#pragma unroll 1
        for (u32 which = 0; which < 2; ++which) {
            const u32 place = strip + 8 * which + g;
            const CachedScale key = pages.key_scales[place], value = pages.value_scales[place];
#pragma unroll
            for (u32 tile = 0; tile < TILES; ++tile) {
                const Query query = scores.query(tile);
                const u32 number = group + 4 * tile + t;
                u32 w = 0;
                if ((i32)(slab * SLAB + place) <= query.last) {
                    const i32 score = scores.score(tile, which, query, key);
                    w = weight(score, common[number], value, intervals, denominator[tile]);
                }
                u8* high = (u8*)&made[2 * number][warp() % STRIPS ^ t] + place % 16;
                high[0] = (u8)(w >> 8);
                high[sizeof(uint4) * 4] = (u8)w;
            }
        }
        // Everybody has made this slab's weights, and is done with those before the last.
        __syncthreads();
#pragma unroll
        for (u32 row = 0; row < ROWS; ++row) {
            if (first_dimension + (warp() * ROWS + row) * 16 < value_rows) {
#pragma unroll
                for (u32 tile = 0; tile < TILES * GROUPS; ++tile) {
                    const uint4 column = made[8 * tile + g][t ^ (g / 2)];
                    add_product<Uint8>(mixed[row][tile], values[row][0], values[row][1], column);
                }
            }
        }
    }
#pragma unroll
    for (u32 tile = 0; tile < TILES; ++tile) {
        // Lanes 4 apart have other positions of the same query.
        const i64 all = over_lanes<Sum, 4>(denominator[tile]);
        if (g == 0) {
            sums[warp() % STRIPS][group + 4 * tile + t] = all;
        }
    }
#pragma unroll
    for (u32 tile = 0; tile < TILES * GROUPS; ++tile) {
        const Query query = queries[4 * tile + t];
        i64* part = parts + ((size_t)query.place * of.splits + split) * value_rows;
#pragma unroll
        for (u32 i = 0; i < 2 * ROWS; ++i) {
            const u32 dimension = first_dimension + (warp() * ROWS + i / 2) * 16 + i % 2 * 8 + g;
            if (query.last >= 0 && dimension < value_rows) {
                const i32* pair = mixed[i / 2][tile] + i % 2 * 2;
                part[dimension] = (i64)pair[0] * 256 + pair[1];
            }
        }
    }
    __syncthreads();
    if (threadIdx.x < QUERIES && queries[threadIdx.x].last >= 0 && first_dimension == 0) {
        i64 all = 0;
        for (u32 from = 0; from < STRIPS; ++from) {
            all += sums[from][threadIdx.x];
        }
        denominators[(size_t)queries[threadIdx.x].place * of.splits + split] = all;
    }
}

extern "C" __global__ void __launch_bounds__(32 * STRIPS, 5)
attention_mix_few(ATTENTION_PARAMETERS, const Maxima* maxima, const i32* exp2, i64* denominators,
                  i64* parts) {
    attention_mix<2, 1>(ATTENTION, maxima, exp2, denominators, parts);
}

extern "C" __global__ void __launch_bounds__(64 * STRIPS, 2)
attention_mix_many(ATTENTION_PARAMETERS, const Maxima* maxima, const i32* exp2, i64* denominators,
                   i64* parts) {
    attention_mix<4, 2>(ATTENTION, maxima, exp2, denominators, parts);
}
