// What a GPU does at most: bytes that it reads, and products that its tensor cores make. Nothing is stored
// but one number for each block, which says that the work was done.

// Words of 16 bytes that a thread has on their way.
#define READS 8
// Sums of products of a warp that do not wait for one another.
#define CHAINS 8

// The sum of all 32-bit words, of each block's share.
extern "C" __global__ void __launch_bounds__(256)
read_all(const i8* from, u64 words, u32* sums) {
    const u64 step = (u64)gridDim.x * blockDim.x;
    u32 sum = 0;
    u64 next = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; next + (READS - 1) * step < words; next += READS * step) {
        uint4 read[READS];
#pragma unroll
        for (u32 i = 0; i < READS; ++i) {
            read[i] = load_once(from + (next + i * step) * 16);
        }
#pragma unroll
        for (u32 i = 0; i < READS; ++i) {
            sum += read[i].x + read[i].y + read[i].z + read[i].w;
        }
    }
    for (; next < words; next += step) {
        const uint4 read = load_once(from + next * 16);
        sum += read.x + read.y + read.z + read.w;
    }
    const i64 all = over_block<Sum>(sum);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = (u32)all;
    }
}

// Every warp multiplies 16 by 8 numbers over 32 terms `rounds` times in each chain: all of A are the bytes
// of `a`, all of B those of `b`. The sum of what comes of it, of each block.
extern "C" __global__ void __launch_bounds__(256)
multiply_all(u32 rounds, u32 a, u32 b, u32* sums) {
    i32 products[CHAINS][4] = {};
    for (u32 round = 0; round < rounds; ++round) {
#pragma unroll
        for (u32 i = 0; i < CHAINS; ++i) {
            multiply(products[i], {a, a}, {a, a}, {b, b}, Int8());
        }
    }
    u32 sum = 0;
#pragma unroll
    for (u32 i = 0; i < CHAINS * 4; ++i) {
        sum += (u32)products[i / 4][i % 4];
    }
    const i64 all = over_block<Sum>(sum);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = (u32)all;
    }
}
