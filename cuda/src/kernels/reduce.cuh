// Sums and maxima over the threads of a warp and of a block. They are of integers that cannot
// overflow, so their order does not matter.

__device__ __forceinline__ u32 lane() {
    return threadIdx.x & 31;
}

__device__ __forceinline__ u32 warp() {
    return threadIdx.x >> 5;
}

struct Sum {
    static __device__ __forceinline__ i64 nothing() { return 0; }
    static __device__ __forceinline__ i64 of(i64 x, i64 y) { return x + y; }
};

struct Maximum {
    static __device__ __forceinline__ i64 nothing() { return (i64)(1ull << 63); }
    static __device__ __forceinline__ i64 of(i64 x, i64 y) { return max(x, y); }
};

// Over the lanes whose numbers differ in the bits of `FIRST` and above; every one of them gets it.
template <class Operation, i32 FIRST = 1>
__device__ __forceinline__ i64 over_lanes(i64 x) {
#pragma unroll
    for (i32 distance = FIRST; distance < 32; distance <<= 1) {
        x = Operation::of(x, __shfl_xor_sync(0xffffffff, x, distance));
    }
    return x;
}

// Over all threads of a block of at most 1,024; every one of them gets it.
template <class Operation>
__device__ __forceinline__ i64 over_block(i64 x) {
    __shared__ i64 parts[32];
    x = over_lanes<Operation>(x);
    if (lane() == 0) {
        parts[warp()] = x;
    }
    __syncthreads();
    x = lane() < blockDim.x / 32 ? parts[lane()] : Operation::nothing();
    // The parts are used again by the next reduction.
    __syncthreads();
    return over_lanes<Operation>(x);
}
