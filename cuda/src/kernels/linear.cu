// Linear maps with int8 weights: `linear` (format page, 3.4).

struct __align__(8) Row {
    u16 mantissa;
    i16 exponent;
    i32 bias;
};

struct Linear {
    const i8* weights;
    const Row* parameters;
    const i8* activations;
    const Scale* scales;
    i32* out;
    u32 rows;
    u32 outputs;
    // Bytes of a row of weights, and of one limb of a row of activations; 64 of them are a step.
    u32 stride;
    i32 fraction_bits;
    // Whether the outputs are added to what is there.
    u32 added;

    // Lines past the last one read the last one's, and their sums are dropped.
    __device__ __forceinline__ const i8* weights_of(u32 output) const {
        return weights + (size_t)min(output, outputs - 1) * stride;
    }

    __device__ __forceinline__ const i8* activations_of(u32 column) const {
        return activations + (size_t)min(column, 2 * rows - 1) * stride;
    }

    __device__ __forceinline__ void put(u32 output, u32 row, i32 high, i32 low) const {
        if (output >= outputs || row >= rows) {
            return;
        }
        const Row parameter = parameters[output];
        const Scale scale = scales[row];
        const i64 acc = (i64)high * 256 + low;
        const i32 mantissa = joint_mantissa(parameter.mantissa, scale.mantissa);
        const i32 exponent = parameter.exponent + scale.exponent + 8 + fraction_bits;
        const i32 y = saturated((i64)rounded_saturated(acc * mantissa, -exponent) + parameter.bias);
        i32* slot = out + (size_t)row * outputs + output;
        *slot = added ? saturated((i64)*slot + y) : y;
    }
};

// For few rows: every weight goes from memory into a register once, and what counts is how many
// bytes are on their way. A block has 16 outputs; its warps share the terms among them, each takes
// STEPS steps of 64 at a time, and starts all their loads (4 KiB of weights) before it multiplies.
#define STREAM_WARPS 8
#define STREAM_STEPS 4

// TILES: four rows each.
template <u32 TILES>
__device__ __forceinline__ void linear_stream(const Linear& of) {
    const u32 first_output = blockIdx.x * 16;
    const u32 g = fragment_row(), part = 16 * fragment_part();
    const i8* first = of.weights_of(first_output + g) + part;
    const i8* second = of.weights_of(first_output + g + 8) + part;
    const i8* columns[TILES];
#pragma unroll
    for (u32 tile = 0; tile < TILES; ++tile) {
        columns[tile] = of.activations_of(8 * tile + g) + part;
    }
    i32 sums[TILES][4] = {};
    const u32 steps = of.stride / 64;
    for (u32 step = warp() * STREAM_STEPS; step < steps; step += STREAM_WARPS * STREAM_STEPS) {
        uint4 weights[STREAM_STEPS][2];
#pragma unroll
        for (u32 i = 0; i < STREAM_STEPS; ++i) {
            if (step + i < steps) {
                weights[i][0] = load_once(first + (step + i) * 64);
                weights[i][1] = load_once(second + (step + i) * 64);
            }
        }
#pragma unroll
        for (u32 i = 0; i < STREAM_STEPS; ++i) {
            // The same for the whole warp.
            if (step + i >= steps) {
                break;
            }
#pragma unroll
            for (u32 tile = 0; tile < TILES; ++tile) {
                const uint4 b = load(columns[tile] + (step + i) * 64);
                add_product<Int8>(sums[tile], weights[i][0], weights[i][1], b);
            }
        }
    }
    __shared__ i32 parts[STREAM_WARPS][TILES * 4][32];
#pragma unroll
    for (u32 i = 0; i < TILES * 4; ++i) {
        parts[warp()][i][lane()] = sums[i / 4][i % 4];
    }
    __syncthreads();
    // A pair of limbs' sums for each thread.
    for (u32 pair = warp(); pair < 2 * TILES; pair += STREAM_WARPS) {
        i32 high = 0, low = 0;
#pragma unroll
        for (u32 from = 0; from < STREAM_WARPS; ++from) {
            high += parts[from][2 * pair][lane()];
            low += parts[from][2 * pair + 1][lane()];
        }
        of.put(first_output + g + pair % 2 * 8, pair / 2 * 4 + fragment_part(), high, low);
    }
}

// Sixteen bytes on their way from device memory to shared memory.
__device__ __forceinline__ void copy_ahead(uint4* to, const i8* from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"((u32)__cvta_generic_to_shared(to)), "l"(from)
                 : "memory");
#else
    *to = load(from);
#endif
}

// What was started since the last call is one group.
__device__ __forceinline__ void close_group() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// All groups but the last `LEFT` have arrived.
template <i32 LEFT>
__device__ __forceinline__ void await_groups() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

// For many rows: a block multiplies a tile of weights with a tile of activations, both in shared
// memory, some stages ahead. A stage has 64 bytes of every line; eight neighbouring lanes read 128
// neighbouring bytes of it, so no two of them meet in a bank.
#define TILE_STAGES 4
#define TILE_THREADS 256

template <u32 OUTPUTS, u32 COLUMNS, u32 WARP_OUTPUTS, u32 WARP_COLUMNS>
__device__ __forceinline__ void linear_tile(const Linear& of) {
    constexpr u32 LINES = OUTPUTS + COLUMNS;
    constexpr u32 COPIES = LINES * 4 / TILE_THREADS;
    constexpr u32 DOWN = WARP_OUTPUTS / 16, ACROSS = WARP_COLUMNS / 8;
    static_assert(OUTPUTS / WARP_OUTPUTS * (COLUMNS / WARP_COLUMNS) == TILE_THREADS / 32, "warps");
    static_assert(OUTPUTS * 4 % TILE_THREADS == 0 && COLUMNS * 4 % TILE_THREADS == 0, "copies");
    extern __shared__ uint4 stages[];

    // Blocks that follow one another have the same weights.
    const u32 column_tiles = (2 * of.rows + COLUMNS - 1) / COLUMNS;
    const u32 first_output = blockIdx.x / column_tiles * OUTPUTS;
    const u32 first_column = blockIdx.x % column_tiles * COLUMNS;
    const i8* sources[COPIES];
#pragma unroll
    for (u32 i = 0; i < COPIES; ++i) {
        const u32 line = (i * TILE_THREADS + threadIdx.x) / 4;
        sources[i] = threadIdx.x % 4 * 16 +
                     (i * TILE_THREADS < OUTPUTS * 4
                          ? of.weights_of(first_output + line)
                          : of.activations_of(first_column + line - OUTPUTS));
    }
    const u32 steps = of.stride / 64;
    auto start = [&](u32 step) {
        if (step < steps) {
            uint4* stage = stages + step % TILE_STAGES * (LINES * 4) + threadIdx.x;
#pragma unroll
            for (u32 i = 0; i < COPIES; ++i) {
                copy_ahead(stage + i * TILE_THREADS, sources[i] + step * 64);
            }
        }
        close_group();
    };
    for (u32 step = 0; step < TILE_STAGES - 1; ++step) {
        start(step);
    }

    const u32 warp_output = warp() % (OUTPUTS / WARP_OUTPUTS) * WARP_OUTPUTS;
    const u32 warp_column = warp() / (OUTPUTS / WARP_OUTPUTS) * WARP_COLUMNS;
    const u32 g = fragment_row(), t = fragment_part();
    i32 sums[DOWN][ACROSS][4] = {};
#pragma unroll 1
    for (u32 step = 0; step < steps; ++step) {
        await_groups<TILE_STAGES - 2>();
        // Everybody's copies are there, and everybody is done with the stage that is filled next.
        __syncthreads();
        start(step + TILE_STAGES - 1);
        const uint4* stage = stages + step % TILE_STAGES * (LINES * 4) + t;
        uint4 weights[DOWN][2];
#pragma unroll
        for (u32 i = 0; i < 2 * DOWN; ++i) {
            weights[i / 2][i % 2] = stage[(warp_output + 8 * i + g) * 4];
        }
#pragma unroll
        for (u32 across = 0; across < ACROSS; ++across) {
            const uint4 b = stage[(OUTPUTS + warp_column + 8 * across + g) * 4];
#pragma unroll
            for (u32 down = 0; down < DOWN; ++down) {
                add_product<Int8>(sums[down][across], weights[down][0], weights[down][1], b);
            }
        }
    }
    // A lane takes its own sums through the stages, which nobody needs any more: a loop over registers
    // would have to be unrolled, and its loads would want more of them than there are.
    await_groups<0>();
    __syncthreads();
    constexpr u32 TURN = ACROSS / 2, PAIRS = 2 * DOWN * TURN;
    static_assert(PAIRS * TILE_THREADS * sizeof(int2) <= TILE_STAGES * LINES * 64, "room");
    int2* own = (int2*)stages + threadIdx.x;
#pragma unroll
    for (u32 turn = 0; turn < ACROSS; turn += TURN) {
#pragma unroll
        for (u32 i = 0; i < PAIRS; ++i) {
            const i32* pair = sums[i / 2 % DOWN][turn + i / (2 * DOWN)] + i % 2 * 2;
            own[i * TILE_THREADS] = {pair[0], pair[1]};
        }
#pragma unroll 1
        for (u32 i = 0; i < PAIRS; ++i) {
            const u32 row = (first_column + warp_column) / 2 + 4 * (turn + i / (2 * DOWN)) + t;
            const int2 pair = own[i * TILE_THREADS];
            of.put(first_output + warp_output + 8 * (i % (2 * DOWN)) + g, row, pair.x, pair.y);
        }
    }
}

#define LINEAR(NAME, THREADS, BLOCKS, BODY)                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                 \
    NAME(const i8* weights, const Row* parameters, const i8* activations, const Scale* scales,    \
         i32* out, u32 rows, u32 outputs, u32 stride, i32 fraction_bits, u32 added) {             \
        BODY({weights, parameters, activations, scales, out, rows, outputs, stride,               \
              fraction_bits, added});                                                             \
    }

LINEAR(linear_stream_4, STREAM_WARPS * 32, 3, linear_stream<1>)
LINEAR(linear_stream_8, STREAM_WARPS * 32, 3, linear_stream<2>)
LINEAR(linear_stream_16, STREAM_WARPS * 32, 2, linear_stream<4>)
#define NARROW_TILE linear_tile<64, 128, 32, 32>
#define WIDE_TILE linear_tile<128, 256, 64, 64>
LINEAR(linear_tile_narrow, TILE_THREADS, 2, NARROW_TILE)
LINEAR(linear_tile_wide, TILE_THREADS, 1, WIDE_TILE)
