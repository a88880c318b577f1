// Rows that are quantised without a norm (format page, 3.3). One block for a row.

struct Q16Row {
    const i32* x;

    __device__ __forceinline__ i64 operator()(u32 i) const { return x[i]; }
};

// The heads' joint output, Q16.
extern "C" __global__ void __launch_bounds__(512)
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
        i32 h = 0;
        if (distance < 1 << 20) {
            const i32 below = table[distance >> 9];
            const i32 slope = table[(distance >> 9) + 1] - below;
            h = (i32)rounded_down((i64)below * 512 + product(slope, distance & 511), 21);
        }
        return product(max(gate[i], 0) - h, up[i]);
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
