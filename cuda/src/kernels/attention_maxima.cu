// S and U of each query over the positions of a split.

// GROUPS of warps with TILES tiles of four queries each.
template <u32 TILES, u32 GROUPS>
__device__ __forceinline__ void attention_maxima(const Attention& of, Maxima* maxima) {
    constexpr u32 QUERIES = 4 * TILES * GROUPS;
    __shared__ Query queries[QUERIES];
    __shared__ Maxima parts[STRIPS][QUERIES];
    u32 first, end;
    open_tile<QUERIES>(of, blockIdx.z, queries, first, end);
    if (first >= end) {
        return;
    }
    const u32 sequence = of.sequences[of.tiles[blockIdx.x].row];
    const u32 group = warp() / STRIPS * 4 * TILES;
    Scores<TILES> scores(of, queries + group);
    i32 score[TILES];
    i64 shifted[TILES];
#pragma unroll
    for (u32 tile = 0; tile < TILES; ++tile) {
        score[tile] = (i32)(1u << 31);
        shifted[tile] = Maximum::nothing();
    }
    const u32 strip = warp() % STRIPS * 16;
    for (u32 slab = first; slab < end; ++slab) {
        const Pages pages = of.cache.pages(sequence, slab, blockIdx.y);
        scores.multiply(pages, strip);
#pragma unroll 1
        for (u32 which = 0; which < 2; ++which) {
            const u32 place = strip + 8 * which + fragment_row();
            const CachedScale key = pages.key_scales[place];
            const i64 raised = (i64)pages.value_scales[place].exponent * 65536;
#pragma unroll
            for (u32 tile = 0; tile < TILES; ++tile) {
                const Query query = scores.query(tile);
                if ((i32)(slab * SLAB + place) <= query.last) {
                    const i32 found = scores.score(tile, which, query, key);
                    score[tile] = max(score[tile], found);
                    shifted[tile] = max(shifted[tile], found + raised);
                }
            }
        }
    }
#pragma unroll
    for (u32 tile = 0; tile < TILES; ++tile) {
        // Lanes 4 apart have other positions of the same query.
        const i64 most = over_lanes<Maximum, 4>(shifted[tile]);
        const i32 best = (i32)over_lanes<Maximum, 4>(score[tile]);
        if (fragment_row() == 0) {
            parts[warp() % STRIPS][group + 4 * tile + fragment_part()] = {most, best, 0};
        }
    }
    __syncthreads();
    if (threadIdx.x < QUERIES && queries[threadIdx.x].last >= 0) {
        Maxima all = parts[0][threadIdx.x];
        for (u32 from = 1; from < STRIPS; ++from) {
            all.shifted = max(all.shifted, parts[from][threadIdx.x].shifted);
            all.score = max(all.score, parts[from][threadIdx.x].score);
        }
        maxima[(size_t)queries[threadIdx.x].place * of.splits + blockIdx.z] = all;
    }
}

extern "C" __global__ void __launch_bounds__(32 * STRIPS, 5)
attention_maxima_few(ATTENTION_PARAMETERS, Maxima* maxima) {
    attention_maxima<2, 1>(ATTENTION, maxima);
}

extern "C" __global__ void __launch_bounds__(64 * STRIPS, 2)
attention_maxima_many(ATTENTION_PARAMETERS, Maxima* maxima) {
    attention_maxima<4, 2>(ATTENTION, maxima);
}
