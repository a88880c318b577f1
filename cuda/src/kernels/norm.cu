// RMS norm and quantisation of the residual: `norm_quant` (format page, 3.2). One block for a row.

struct NormedRow {
    const i32* x;
    const i32* gamma;
    i32 reduction;

    __device__ __forceinline__ i64 operator()(u32 i) const {
        return product(reduced(x[i], reduction), gamma[i]);
    }
};

// `picked`: which row of the residual each row is of; none if they are all of them.
extern "C" __global__ void __launch_bounds__(1024)
rms_norm(const i32* residual, const u32* picked, const i32* gamma, i32 gamma_exponent, u32 elements,
         u32 stride, i64 epsilon, i32 fraction_bits, u64 width_root, i32 width_root_exponent,
         i8* activations, Scale* scales) {
    const u32 row = picked == nullptr ? blockIdx.x : picked[blockIdx.x];
    const i32* x = residual + (size_t)row * elements;
    i64 maximum = 0;
    for (u32 i = threadIdx.x; i < elements; i += blockDim.x) {
        maximum = max(maximum, (i64)size(x[i]));
    }
    maximum = over_block<Maximum>(maximum);
    const NormedRow z = {x, gamma, reduction(maximum)};
    i64 squares = 0, largest = 0;
    for (u32 i = threadIdx.x; i < elements; i += blockDim.x) {
        i32 x_reduced = reduced(x[i], z.reduction);
        squares += product(x_reduced, x_reduced);
        largest = max(largest, (i64)size(product(x_reduced, gamma[i])));
    }
    squares = over_block<Sum>(squares);
    largest = over_block<Maximum>(largest);
    const Reciprocal reciprocal((u64)largest);
    put_row(z, reciprocal, elements, stride, activations + (size_t)blockIdx.x * 2 * stride);
    // The last warp, which has the least to do, finds the scale.
    if (threadIdx.x != blockDim.x - 1) {
        return;
    }
    const Width width = {epsilon, fraction_bits, width_root, width_root_exponent};
    const Root mean(squares, z.reduction, width);
    const u64 t = quotient((u64)reciprocal.reduced * width.root, mean.root);
    scales[blockIdx.x] =
        normalised<16>(quotient(t << 30, MAX_ACTIVATION), reciprocal.shift + gamma_exponent +
                                                              mean.exponent - width.root_exponent - 30);
}
