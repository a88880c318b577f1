// The key-value cache in device memory, in slabs of 64 positions of every layer and head. `layout.rs`
// beside this says the same to the host.

#define SLAB 64

struct __align__(4) CachedScale {
    u16 mantissa;
    i16 exponent;
};

__device__ __forceinline__ u32 padded(u32 length, u32 to) {
    return (length + to - 1) / to * to;
}

// One key-value head of one layer in one slab: keys by position, then values by dimension, so that the
// terms of either sum are neighbours; then the scales of both.
struct Pages {
    i8* keys;
    i8* values;
    CachedScale* key_scales;
    CachedScale* value_scales;
    u32 key_stride;
};

struct Cache {
    i8* slabs;
    // Slab numbers of a sequence, in order: `table_stride` of them for each sequence.
    const u32* tables;
    u32 table_stride;
    u32 layer;
    u32 layers;
    u32 kv_heads;
    u32 head_dim;

    __device__ __forceinline__ Pages pages(u32 sequence, u32 slab, u32 kv_head) const {
        const u32 key_stride = padded(head_dim, 64), value_rows = padded(head_dim, 16);
        const u32 bytes = SLAB * (key_stride + value_rows + 2 * sizeof(CachedScale));
        const u32 number = tables[(size_t)sequence * table_stride + slab];
        Pages pages;
        pages.keys = slabs + (((size_t)number * layers + layer) * kv_heads + kv_head) * bytes;
        pages.values = pages.keys + SLAB * key_stride;
        pages.key_scales = (CachedScale*)(pages.values + SLAB * value_rows);
        pages.value_scales = pages.key_scales + SLAB;
        pages.key_stride = key_stride;
        return pages;
    }
};
