// The product that all matrices are multiplied with: 16 rows of A by 8 columns of B over 64 terms, of
// int8, on the tensor cores.
//
// A sum does not care for the order of its terms, so a lane reads 16 neighbouring bytes of a row at
// once, and these stand for the terms that the instruction wants of it twice: the same ones in A and
// in B. Lane 4 g + t holds bytes 16 t to 16 t + 15 of the rows g and g + 8 of A and of the column g of
// B, and gets the sums of the rows g (0, 1) and g + 8 (2, 3) with the columns 2 t and 2 t + 1.
//
// Activations have two limbs, which are neighbouring columns: the two sums of a row are those of one
// activation's high and low limb, and acc = 256 * high + low stays in the lane.

__device__ __forceinline__ u32 fragment_row() {
    return lane() >> 2;
}

__device__ __forceinline__ u32 fragment_part() {
    return lane() & 3;
}

struct Int8 {};
struct Uint8 {};

#if __CUDA_ARCH__ >= 800
#define MULTIPLY(TYPE)                                                                            \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8." TYPE ".s32 "                         \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                \
                 : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])                     \
                 : "r"(first.x), "r"(second.x), "r"(first.y), "r"(second.y), "r"(b.x), "r"(b.y))
#else
#define MULTIPLY_SMALL(TYPE, AT, A, B)                                                            \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8." TYPE ".s32 "                          \
                 "{%0, %1}, {%2}, {%3}, {%0, %1};"                                                \
                 : "+r"(sums[AT]), "+r"(sums[AT + 1])                                             \
                 : "r"(A), "r"(B))
#define MULTIPLY(TYPE)                                                                            \
    MULTIPLY_SMALL(TYPE, 0, first.x, b.x);                                                        \
    MULTIPLY_SMALL(TYPE, 0, first.y, b.y);                                                        \
    MULTIPLY_SMALL(TYPE, 2, second.x, b.x);                                                       \
    MULTIPLY_SMALL(TYPE, 2, second.y, b.y)
#endif

// Over 32 terms, half of what a lane holds.
__device__ __forceinline__ void multiply(i32 (&sums)[4], uint2 first, uint2 second, uint2 b, Int8) {
    MULTIPLY("s8");
}

__device__ __forceinline__ void multiply(i32 (&sums)[4], uint2 first, uint2 second, uint2 b, Uint8) {
    MULTIPLY("u8");
}

// Adds to the sums. `first` and `second` are the lane's parts of rows g and g + 8, `b` of column g.
template <class Limbs>
__device__ __forceinline__ void add_product(i32 (&sums)[4], uint4 first, uint4 second, uint4 b) {
    multiply(sums, {first.x, first.y}, {second.x, second.y}, {b.x, b.y}, Limbs());
    multiply(sums, {first.z, first.w}, {second.z, second.w}, {b.z, b.w}, Limbs());
}

// Sixteen bytes that other blocks read as well.
__device__ __forceinline__ uint4 load(const i8* from) {
    return *(const uint4*)from;
}

// Sixteen bytes that nobody reads again: they take no room in the first cache.
__device__ __forceinline__ uint4 load_once(const i8* from) {
    uint4 bytes;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(bytes.x), "=r"(bytes.y), "=r"(bytes.z), "=r"(bytes.w)
        : "l"(from));
    return bytes;
}
