// What the elements of a normed row share (format page, 3.2 and 3.5).

// Of all rows of one width: n * eps40, its fraction bits, cn and kn.
struct Width {
    i64 epsilon;
    i32 fraction_bits;
    u64 root;
    i32 root_exponent;
};

// h, from a row's largest size: x' = R(x, h) has at most 23 digits.
__device__ __forceinline__ i32 reduction(i64 maximum) {
    return max(0, bits((u64)maximum) - 23);
}

__device__ __forceinline__ i32 reduced(i32 x, i32 reduction) {
    return (i32)rounded((i64)x, reduction);
}

// w and j: the root of the mean square in units of x' times sqrt(n), with 31 digits.
struct Root {
    u64 root;
    i32 exponent;

    __device__ __forceinline__ Root(i64 squares, i32 reduction, const Width& width) {
        i64 epsilon = rounded(width.epsilon, 40 - 2 * width.fraction_bits + 2 * reduction);
        u64 mean = (u64)(squares + epsilon);
        exponent = (62 - bits(mean)) >> 1;
        root = ::root(mean << (2 * exponent));
    }
};
