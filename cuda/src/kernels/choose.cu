// The next token by a row's logits (format page, 5). One block for a row.
//
// All that has to be found is the first place at which a running sum passes a target: of the weights
// the token that is drawn, of their sums by bin the last bin of top-p, of counts by digit the logit at
// which top-k cuts, and of the tokens that have it the last one. These are sums of integers, and it does
// not matter who adds up which.

// Parts per million.
#define ONE 1000000u
// Of top-p.
#define BINS 4096
// Binary digits of a logit's distance that top-k looks at together: no more counts than bins.
#define CUT_DIGITS 11

struct __align__(8) Choice {
    u64 random;
    // Whose logits.
    u32 row;
    u32 penalty;
    // ct; 0 is greedy.
    u32 factor;
    // The least weight that min-p keeps.
    u32 least;
    // How many tokens top-k keeps; all of them where there are no more.
    u32 top_k;
    u32 top_p;
};

__device__ __forceinline__ i32 penalised(i32 logit, u32 penalty) {
    return logit > 0 ? saturated((i64)quotient((u64)logit * ONE, penalty))
                     : saturated(-(i64)quotient((u64)size(logit) * penalty, ONE));
}

struct Place {
    u32 index;
    // Of the target, behind the sum of what is ahead.
    i64 left;
};

// The first of `count` places at which the running sum of numbers passes what `target` makes of their
// sum, which is not negative, and below it. All threads of the block.
template <class Numbers, class Target>
__device__ __forceinline__ Place passing(u32 count, const Numbers& number, const Target& target) {
    __shared__ i64 sums[32];
    u32 first = 0, step = count;
    i64 left = -1;
    do {
        // The 32 parts of the part in which it is.
        const u32 end = min(first + step, count);
        step = (step + 31) / 32;
        for (u32 part = warp(); part < 32; part += blockDim.x / 32) {
            const u32 from = first + part * step, to = min(from + step, end);
            i64 sum = 0;
            for (u32 i = from + lane(); i < to; i += 32) {
                sum += number(i);
            }
            sum = over_lanes<Sum>(sum);
            if (lane() == 0) {
                sums[part] = sum;
            }
        }
        __syncthreads();
        // Every warp finds the same.
        i64 sum = sums[lane()];
        for (u32 distance = 1; distance < 32; distance <<= 1) {
            const i64 before = __shfl_up_sync(0xffffffff, sum, distance);
            sum += lane() >= distance ? before : 0;
        }
        // The next sums go where these are.
        __syncthreads();
        if (left < 0) {
            left = target(__shfl_sync(0xffffffff, sum, 31));
        }
        // Of unsound numbers none may pass: then it is the last.
        const u32 passed = __popc(__ballot_sync(0xffffffff, sum <= left) & 0x7fffffff);
        const i64 ahead = __shfl_sync(0xffffffff, sum, max(passed, 1u) - 1);
        left -= passed == 0 ? 0 : ahead;
        first += passed * step;
    } while (step > 1);
    return {min(first, count - 1), left};
}

// The weights that a choice leaves: at first all of them.
struct Kept {
    const i32* logits;
    const Interval* exp2;
    i32 largest;
    u32 factor;
    u32 least;
    // The last distance that top-k keeps, and the last token that is kept of those at it.
    u32 cut = 0xffffffff;
    u32 last = 0xffffffff;
    // Of top-p.
    u32 last_bin = BINS - 1;

    // How far a token's logit is below the largest.
    __device__ __forceinline__ u32 below(u32 token) const {
        return (u32)largest - (u32)logits[token];
    }

    // e, or 0 where min-p or top-k drops the token; and its bin.
    __device__ __forceinline__ u32 weight(u32 token, u32& bin) const {
        const u32 distance = below(token);
        const u64 x = (u64)rounded_down((i64)((u64)min(distance, 0x7fffffffu) * factor), 20);
        bin = (u32)min(x >> 9, (u64)(BINS - 1));
        const u32 e = halved(power((u32)x, exp2), (u32)min(x >> 16, 32ull));
        const bool is_kept = e >= least && (distance < cut || (distance == cut && token <= last));
        return is_kept ? e : 0;
    }

    // What is left when top-p has chosen as well.
    __device__ __forceinline__ i64 operator()(u32 token) const {
        u32 bin;
        const u32 e = weight(token, bin);
        return bin <= last_bin ? e : 0;
    }
};

// tau, of the kept weights' sum.
__device__ __forceinline__ i64 wanted(u64 total, u32 top_p) {
    return (i64)max(total / ONE * top_p + total % ONE * top_p / ONE, 1ull);
}

// `seen`: a bit for each token of the vocabulary, set for those that occurred; of each choice that has a
// penalty.
extern "C" __global__ void __launch_bounds__(1024)
choose(i32* logits, u32 vocabulary, const Choice* choices, const u32* seen, const i32* exp2,
       u32* tokens) {
    // 64 bits of each bin; counts take the first.
    __shared__ u32 low[BINS], high[BINS];
    __shared__ Interval intervals[256];
    const Choice asked = choices[blockIdx.x];
    i32* row = logits + (size_t)asked.row * vocabulary;
    if (asked.penalty != ONE) {
        const u32 words = (vocabulary + 31) / 32;
        const u32* own = seen + (size_t)blockIdx.x * words;
        for (u32 word = threadIdx.x; word < words; word += blockDim.x) {
            for (u32 marks = own[word]; marks != 0; marks &= marks - 1) {
                i32& logit = row[32 * word + __ffs((i32)marks) - 1];
                logit = penalised(logit, asked.penalty);
            }
        }
        __syncthreads();
    }

    i64 most = Maximum::nothing(), lowest = Maximum::nothing();
    for (u32 i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        // Of equal logits the lowest token's complement is the largest.
        most = max(most, (i64)((u64)(u32)row[i] << 32 | ~i));
        lowest = max(lowest, -(i64)row[i]);
    }
    put_intervals(exp2, intervals);
    most = over_block<Maximum>(most);
    if (asked.factor == 0) {
        if (threadIdx.x == 0) {
            tokens[blockIdx.x] = ~(u32)most;
        }
        return;
    }
    Kept kept = {row, intervals, (i32)(most >> 32), asked.factor, asked.least};

    if (asked.top_k < vocabulary) {
        i64 left = asked.top_k - 1;
        u32 cut = 0;
        i32 end = bits((u64)(kept.largest + over_block<Maximum>(lowest)));
        while (end > 0) {
            const i32 width = min(end, CUT_DIGITS), start = end - width;
            for (u32 i = threadIdx.x; i < 1u << width; i += blockDim.x) {
                low[i] = 0;
            }
            __syncthreads();
            for (u32 i = threadIdx.x; i < vocabulary; i += blockDim.x) {
                const u32 below = kept.below(i);
                // Whose digits before these are those that were found.
                if ((u64)(below ^ cut) >> end == 0) {
                    atomicAdd(low + (below >> start & ((1u << width) - 1)), 1u);
                }
            }
            __syncthreads();
            const Place digit = passing(
                1u << width, [&](u32 i) { return (i64)low[i]; }, [&](i64) { return left; });
            cut |= digit.index << start;
            left = digit.left;
            end = start;
        }
        const Place last = passing(
            vocabulary, [&](u32 i) { return (i64)(kept.below(i) == cut); },
            [&](i64) { return left; });
        kept.cut = cut;
        kept.last = last.index;
    }
    if (asked.top_p < ONE) {
        for (u32 i = threadIdx.x; i < BINS; i += blockDim.x) {
            low[i] = 0;
            high[i] = 0;
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < vocabulary; i += blockDim.x) {
            u32 bin;
            const u32 weight = kept.weight(i, bin);
            // There are as many carries in whatever order.
            if (weight != 0 && atomicAdd(low + bin, weight) > ~weight) {
                atomicAdd(high + bin, 1u);
            }
        }
        __syncthreads();
        const Place last = passing(
            BINS, [&](u32 i) { return (i64)((u64)high[i] << 32 | low[i]); },
            [&](i64 total) { return wanted((u64)total, asked.top_p) - 1; });
        kept.last_bin = last.index;
    }
    const Place token = passing(vocabulary, kept, [&](i64 total) {
        return (i64)(asked.random % max((u64)total, 1ull));
    });
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token.index;
    }
}
