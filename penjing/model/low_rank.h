// A product of two thin matrices added to what a wide one says, scale B A x (LoRA, arXiv:2106.09685), in bfloat16, forward
// and back: rows are read once, where several products and sums would read and write them up to eight times.
//
// Shapes: N rows, I inputs, O outputs, R rank, W: I or O. Thin matrices are R W.

#pragma once
#include "half_rows.h"

namespace halves {

struct LowRank {
    Rows x, base, to, gradient, x_gradient;  // N I, N O, N O; going back N O, N I or nothing
    const Half *down, *up;                   // R I, R O
    Half *inner, *down_gradient, *up_gradient;  // N R, rounded up to pairs: scale A x; R I, R O going back
    int64_t rows, inputs, outputs, rank, back;
    float scale;
};

}  // namespace halves

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(_OPENMP)
namespace halves {

const int64_t BLOCK = 64;  // rows that are read again while they are in the cache
const int DIRECTIONS = 8;  // of the rank, that are summed at once

struct Thin {  // a matrix R W, for both sides that it is read from
    int64_t rank, width, lanes = up(rank, LANES);
    std::vector<Pair> turned, joined;  // W/2 R and R/2 W

    Thin(const Half* matrix, int64_t rank, int64_t width) : rank(rank), width(width) {
        const int64_t even = up(rank, 2);
        turn(matrix, width, rank, width / 2, lanes, sized(turned, width / 2 * lanes));
        join(matrix, width, rank, width, even, sized(joined, even / 2 * width));
    }

    // Rows a of W numbers times the matrix, times `scale`: rows of R numbers, rounded up to pairs.
    void inward(Rows a, int64_t rows, float scale, Half* to) const {
        const int64_t even = up(rank, 2);
        float sums[ROWS * LANES];
        Half one[LANES];
        for (int64_t m = 0; m < rows; m += ROWS)
            for (int64_t r = 0; r < rank; r += LANES) {
                const int64_t few = std::min<int64_t>(ROWS, rows - m), size = std::min<int64_t>(LANES, even - r);
                const Half* first = a.first + m * a.apart;
                if (few == ROWS)
                    product<1>((const Pair*)first, a.apart / 2, 1, turned.data() + r, lanes, width / 2, sums, LANES, false);
                else
                    for (int64_t row = 0; row < few; row++) single(first + row * a.apart, r, sums + row * LANES);
                for (int64_t row = 0; row < few; row++) {
                    store(one, all(sums + row * LANES) * scale);
                    if (rank - r < LANES) one[rank - r] = 0;  // of an odd rank: infinity times zero is no number
                    std::memcpy(to + (m + row) * even + r, one, size * sizeof(Half));
                }
            }
    }

    void single(const Half* a, int64_t r, float* to) const {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t k = 0; k < width / 2; k++) {
            Pair pair;
            std::memcpy(&pair, a + 2 * k, sizeof(Pair));
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(int(pair)),
                                   (__m512bh)_mm512_loadu_si512(turned.data() + k * lanes + r));
        }
        _mm512_storeu_ps(to, sum);
    }

    // Rows of R numbers times the matrix, plus `base` if it is given: rows of W numbers.
    void outward(const Half* inner, int64_t rows, Rows base, Rows to) const {
        int64_t m = 0;
        for (; m + 4 <= rows; m += 4) some<4>(inner, m, base, to);
        for (; m < rows; m++) some<1>(inner, m, base, to);
    }

    template <int COUNT>
    void some(const Half* inner, int64_t m, Rows base, Rows to) const {
        const int64_t pairs = up(rank, 2) / 2;
        const Pair* left = (const Pair*)inner + m * pairs;
        for (int64_t i = 0; i < width; i += LANES) {
            __m512 sums[COUNT];
            for (int c = 0; c < COUNT; c++)
                sums[c] = base.first ? (__m512)wide(base.first + (m + c) * base.apart + i) : _mm512_setzero_ps();
            for (int64_t k = 0; k < pairs; k++) {
                const __m512bh right = (__m512bh)_mm512_loadu_si512(joined.data() + k * width + i);
                for (int c = 0; c < COUNT; c++)
                    sums[c] = _mm512_dpbf16_ps(sums[c], (__m512bh)_mm512_set1_epi32(int(left[c * pairs + k])), right);
            }
            for (int c = 0; c < COUNT; c++) store(to.first + (m + c) * to.apart + i, (Floats)sums[c]);
        }
    }
};

// sums R W += rows of R numbers, turned, times rows a of W numbers; R is rounded up to directions.
inline void along(const Half* inner, int64_t rank, Rows a, int64_t rows, int64_t width, std::vector<Pair>& room, float* sums) {
    const int64_t even = up(rank, 2), whole = up(rank, DIRECTIONS);
    room.assign(up(rows, 2) / 2 * whole, 0);
    Pair* left = room.data();
    for (int64_t m = 0; m < rows; m++)
        for (int64_t r = 0; r < rank; r++) left[m / 2 * whole + r] |= Pair(inner[m * even + r]) << (m % 2 * 16);
    for (int64_t r = 0; r < rank; r += DIRECTIONS)
        for (int64_t i = 0; i < width; i += LANES) {
            __m512 found[DIRECTIONS];
            for (int d = 0; d < DIRECTIONS; d++) found[d] = _mm512_loadu_ps(sums + (r + d) * width + i);
            for (int64_t m = 0; m < rows; m += 2) {
                const Half* low = a.first + m * a.apart + i;
                const __m512i pair = pairs_of(low, m + 1 < rows ? low + a.apart : nullptr);
                for (int d = 0; d < DIRECTIONS; d++)
                    found[d] = _mm512_dpbf16_ps(found[d], (__m512bh)pair,
                                                (__m512bh)_mm512_set1_epi32(int(left[m / 2 * whole + r + d])));
            }
            for (int d = 0; d < DIRECTIONS; d++) _mm512_storeu_ps(sums + (r + d) * width + i, found[d]);
        }
}

inline Rows from(Rows what, int64_t row) { return {what.first ? what.first + row * what.apart : nullptr, what.apart}; }

// The threads' sums R W as one.
inline void together(const std::vector<std::vector<float>>& sums, int64_t size, Half* to) {
    for (int64_t i = 0; i < size; i += LANES) {
        Floats sum{};
        for (const auto& one : sums) sum += all(one.data() + i);
        store(to + i, sum);
    }
}

inline void low_rank(const LowRank& what, int64_t threads) {
    std::vector<std::vector<float>> downs(threads), ups(threads);
    const int64_t even = up(what.rank, 2), whole = up(what.rank, DIRECTIONS);
#pragma omp parallel num_threads(int(threads))
    {
        const int64_t thread = omp_get_thread_num(), count = omp_get_num_threads();
        const Thin down(what.down, what.rank, what.inputs), up(what.up, what.rank, what.outputs);
        const int64_t end = what.rows * (thread + 1) / count;
        std::vector<Half> grown(BLOCK * even);
        std::vector<Pair> room;
        if (what.back) downs[thread].assign(whole * what.inputs, 0), ups[thread].assign(whole * what.outputs, 0);
        for (int64_t m = what.rows * thread / count; m < end; m += BLOCK) {
            const int64_t rows = std::min(BLOCK, end - m);
            const Rows x = from(what.x, m), gradient = from(what.gradient, m);
            Half* inner = what.inner + m * even;
            if (!what.back) {
                down.inward(x, rows, what.scale, inner);
                up.outward(inner, rows, from(what.base, m), from(what.to, m));
                continue;
            }
            up.inward(gradient, rows, what.scale, grown.data());
            along(inner, what.rank, gradient, rows, what.outputs, room, ups[thread].data());
            along(grown.data(), what.rank, x, rows, what.inputs, room, downs[thread].data());
            if (what.x_gradient.first) down.outward(grown.data(), rows, {nullptr, 0}, from(what.x_gradient, m));
        }
    }
    if (!what.back) return;
    for (int64_t thread = 0; thread < threads; thread++)  // fewer may have come than were asked for
        downs[thread].resize(whole * what.inputs), ups[thread].resize(whole * what.outputs);
    together(downs, what.rank * what.inputs, what.down_gradient);
    together(ups, what.rank * what.outputs, what.up_gradient);
}

}  // namespace halves

extern "C" void low_rank_halves(const halves::LowRank* what, int64_t threads) { halves::low_rank(*what, threads); }
#else
extern "C" void low_rank_halves(const halves::LowRank*, int64_t) {}
#endif
