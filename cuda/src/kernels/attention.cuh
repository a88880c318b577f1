// What the passes of attention have in common (format page, 3.7).
//
// A tile is a few queries that read the same keys: of neighbouring rows of one sequence, and of the
// heads that share a key-value head. The positions are cut into splits, each a block's, so that a few
// rows keep the whole GPU busy. What is rounded depends on maxima over all positions, so these are
// found first, and the scores are made twice rather than kept; all else is sums of integers, and it
// does not matter how they are cut.

// Warps that share the positions of a slab: sixteen for each.
#define STRIPS 4

struct __align__(16) Maxima {
    // U, the largest of score + 2^16 * exponent of the value row's scale.
    i64 shifted;
    // S, the largest score.
    i32 score;
    i32 unused;
};

// K, from S and U: the ceiling of their distance.
__device__ __forceinline__ i32 common_exponent(i64 score, i64 shifted) {
    return -(i32)((score - shifted) >> 16);
}

// First row, rows, and first query; those of a row are its heads' that share a key-value head.
struct Tile {
    u32 row;
    u32 rows;
    u32 query;
};

struct __align__(16) Query {
    // Of the scores' scale.
    u32 mantissa;
    i32 exponent;
    // The last position that it sees; -1 where the tile has no such query.
    i32 last;
    // Its place among all rows' and heads' queries.
    u32 place;
};

struct Attention {
    const i8* queries;
    const Scale* query_scales;
    const u32* positions;
    const u32* sequences;
    Cache cache;
    const Tile* tiles;
    u32 query_heads;
    // Slabs of a split, and splits of all positions.
    u32 slabs;
    u32 splits;

    // Splits that a query sees a part of.
    __device__ __forceinline__ u32 splits_of(u32 last) const {
        return min(last / (SLAB * slabs) + 1, splits);
    }

    // A query of the block's tile; behind the last one, the last one without positions.
    __device__ __forceinline__ Query query(u32 number) const {
        const u32 group = query_heads / cache.kv_heads;
        const Tile tile = tiles[blockIdx.x];
        const u32 asked = tile.query + number, end = tile.rows * group;
        const u32 found = min(asked, end - 1);
        const u32 row = tile.row + found / group;
        const u32 place = row * query_heads + blockIdx.y * group + found % group;
        const Scale scale = query_scales[place];
        const i32 last = asked < end ? (i32)positions[row] : -1;
        return {(u32)scale.mantissa, scale.exponent, last, place};
    }
};

// A warp's queries, four for each tile of columns, and their scores of 16 positions at a time.
template <u32 TILES>
struct Scores {
    const uint4* numbers;
    const Query* queries;
    // Where this lane's part of each column of queries begins: neighbouring columns are the limbs of
    // one query.
    u32 columns[TILES];
    i32 sums[TILES][4];

    __device__ __forceinline__ Scores(const Attention& of, const Query* queries)
        : numbers((const uint4*)of.queries), queries(queries) {
        const u32 parts = padded(of.cache.head_dim, 64) / 16, g = fragment_row();
#pragma unroll
        for (u32 tile = 0; tile < TILES; ++tile) {
            const u32 limb = queries[4 * tile + g / 2].place * 2 + g % 2;
            columns[tile] = limb * parts + fragment_part();
        }
    }

    // The sums q * k of the 16 positions from `place` on in a slab.
    __device__ __forceinline__ void multiply(const Pages& pages, u32 place) {
        const u32 stride = pages.key_stride;
        const i8* first = pages.keys + (place + fragment_row()) * stride + 16 * fragment_part();
        const i8* second = first + 8 * stride;
#pragma unroll
        for (u32 tile = 0; tile < TILES; ++tile) {
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                sums[tile][i] = 0;
            }
        }
        // Other warps hide this one's loads; more of them at once want more registers than there are.
#pragma unroll 1
        for (u32 at = 0; at < stride; at += 64) {
            const uint4 a = load(first + at), b = load(second + at);
#pragma unroll
            for (u32 tile = 0; tile < TILES; ++tile) {
                add_product<Int8>(sums[tile], a, b, numbers[columns[tile] + at / 16]);
            }
        }
    }

    // The query of this lane in a tile.
    __device__ __forceinline__ Query query(u32 tile) const {
        return queries[4 * tile + fragment_part()];
    }

    // Score of that query and the lane's first or second position.
    __device__ __forceinline__ i32 score(u32 tile, u32 which, Query query, CachedScale key) const {
        // At most 32512 * 127 * 512 in size: below 2^31.
        const i32 acc = which == 0 ? sums[tile][0] * 256 + sums[tile][1]
                                   : sums[tile][2] * 256 + sums[tile][3];
        const i32 mantissa = joint_mantissa(query.mantissa, key.mantissa);
        return rounded_saturated(product(acc, mantissa), -(query.exponent + key.exponent + 24));
    }
};

// Fills `queries`, and gives the slabs of this block's split that one of them sees: from `first` to
// before `end`. All threads of the block.
template <u32 QUERIES>
__device__ __forceinline__ void open_tile(const Attention& of, u32 split, Query* queries, u32& first,
                                          u32& end) {
    if (threadIdx.x < QUERIES) {
        queries[threadIdx.x] = of.query(threadIdx.x);
    }
    __syncthreads();
    i32 last = -1;
    for (u32 i = 0; i < QUERIES; ++i) {
        last = max(last, queries[i].last);
    }
    first = split * of.slabs;
    end = min(first + of.slabs, (u32)(last + SLAB) / SLAB);
}

#define ATTENTION_PARAMETERS                                                                      \
    const i8 *queries, const Scale *query_scales, const u32 *positions, const u32 *sequences,     \
        i8 *slabs, const u32 *tables, u32 table_stride, u32 layer, u32 layers, u32 query_heads,   \
        u32 kv_heads, u32 head_dim, const Tile *tiles, u32 split_slabs, u32 splits

#define ATTENTION                                                                                 \
    {queries,                                                                                     \
     query_scales,                                                                                \
     positions,                                                                                   \
     sequences,                                                                                   \
     {slabs, tables, table_stride, layer, layers, kv_heads, head_dim},                            \
     tiles,                                                                                       \
     query_heads,                                                                                 \
     split_slabs,                                                                                 \
     splits}
