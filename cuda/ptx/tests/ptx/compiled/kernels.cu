// Kernels whose PTX stands beside this file, as NVRTC made it:
//   --gpu-architecture=compute_75 --std=c++17 --device-int128
// They have what compilers make and hands do not write: structures as arguments, calls, tables of
// branches, local arrays, arithmetic in several words.

struct Numbers {
    const int* values;
    int count;
    short factors[6];
};

__constant__ unsigned char bonus[16] = {1, 2, 3, 4, 5};
__device__ unsigned calls;

// A call that is not inlined, with a structure and a result.
__noinline__ __device__ long long weighted(Numbers numbers, int terms, long long scale) {
    long long sum = 0;
    for (int i = 0; i < terms; ++i) sum += numbers.factors[i % 6] * (long long)numbers.values[i % numbers.count] * scale;
    if (threadIdx.x % 32 == 0) atomicAdd(&calls, 1u);
    return sum;
}

extern "C" __global__ void __launch_bounds__(256) mixed(Numbers numbers, long long* out, unsigned long long scale) {
    extern __shared__ int reversed[];
    const int thread = threadIdx.x;
    reversed[blockDim.x - 1 - thread] = numbers.values[thread % numbers.count];
    __syncthreads();
    int value = reversed[thread];
    for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(~0u, value, offset);
    long long result = value;
    switch (thread % 8) {
        case 0: result += 3; break;
        case 1: result *= 7; break;
        case 2: result ^= 9; break;
        case 3: result = __dp4a(value, thread * 0x01020304, 1); break;
        case 4: result -= thread; break;
        case 5: result /= 3; break;
        case 6: result = value % 1000; break;
        default: result = weighted(numbers, thread % 13, value);
    }
    const __int128 product = (__int128)result * scale;
    out[thread] = (long long)(product >> 40) + bonus[thread % 16];
}

// Digits by a local array that is indexed at run time.
extern "C" __global__ void digits(unsigned long long* numbers) {
    unsigned char digit[20];
    unsigned long long number = numbers[threadIdx.x];
    int count = 0;
    do {
        digit[count++] = number % 10;
        number /= 10;
    } while (number);
    unsigned long long reversed = 0;
    for (int i = 0; i < count; ++i) reversed = reversed * 10 + digit[i];
    numbers[threadIdx.x] = reversed;
}

// A histogram in shared memory, added to the one in device memory by several blocks.
extern "C" __global__ void histogram(const unsigned char* bytes, int count, unsigned* totals) {
    __shared__ unsigned own[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) own[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) atomicAdd(&own[bytes[i]], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (own[i]) atomicAdd(&totals[i], own[i]);
}
