// Rows that are quantised without a norm (format page, 3.3). One block for a row.

struct Q16Row {
    const i32* x;

    __device__ __forceinline__ i64 operator()(u32 i) const { return x[i]; }
};

// The heads' joint output, Q16.
extern "C" __global__ void __launch_bounds__(1024)
quantise(const i32* x, u32 width, u32 stride, i8* activations, Scale* scales) {
    const Q16Row z = {x + (size_t)blockIdx.x * width};
    quantise_row(z, 16, width, stride, activations + (size_t)blockIdx.x * 2 * stride,
                 scales + blockIdx.x);
}

// silu(gate) * up, Q32 (format page, 3.8).
struct GatedRow {
    const i32* gate;
    const i32* up;
    const i32* table;

    __device__ __forceinline__ i64 operator()(u32 i) const {
        const u32 distance = size(gate[i]);
        // Read whatever the distance is, so that loads of several elements are on their way at once.
        const u32 interval = min(distance >> 9, 2047);
        const i32 below = table[interval], slope = table[interval + 1] - below;
        const i64 h = rounded_down((i64)below * 512 + product(slope, distance & 511), 21);
        return product(max(gate[i], 0) - (distance < 1 << 20 ? (i32)h : 0), up[i]);
    }
};

// `pairs`: a row's gates, then its ups.
extern "C" __global__ void __launch_bounds__(1024)
silu(const i32* pairs, const i32* table, u32 width, u32 stride, i8* activations, Scale* scales) {
    const i32* gate = pairs + (size_t)blockIdx.x * 2 * width;
    const GatedRow z = {gate, gate + width, table};
    quantise_row(z, 32, width, stride, activations + (size_t)blockIdx.x * 2 * stride,
                 scales + blockIdx.x);
}
