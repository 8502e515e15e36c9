// Matrices of pairs of bfloat16 numbers, which some processors multiply and add to sums of 32 bits, and ways to make them.
//
// Shapes: M rows, N columns, K pairs in a sum, D numbers of a row.

#pragma once
#include "vectors.h"

namespace halves {

typedef uint16_t Half;
typedef uint32_t Pair;  // of neighbours in a sum

}  // namespace halves

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(_OPENMP)
#include <omp.h>

#include <algorithm>
#include <vector>

namespace halves {

using namespace vectors;

const int ROWS = 8, STEP = 2 * LANES;  // rows of a product that are summed at once; keys and queries come in steps

inline int64_t up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// to = (to +) a b of M rows, N columns (of LANES) and K pairs. a: pairs, `row` from one row to the next, `next` from one
// pair to the next; b: K N.
template <int VECTORS>
void product(const Pair* a, int64_t row, int64_t next, const Pair* b, int64_t apart, int64_t pairs, float* to,
             int64_t to_row, bool add) {
    __m512 sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            sums[r][v] = add ? _mm512_loadu_ps(to + r * to_row + v * LANES) : _mm512_setzero_ps();
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh right[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) right[v] = (__m512bh)_mm512_loadu_si512(b + k * apart + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            const __m512bh left = (__m512bh)_mm512_set1_epi32(int(a[r * row + k * next]));
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; v++) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], left, right[v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) _mm512_storeu_ps(to + r * to_row + v * LANES, sums[r][v]);
}

struct Left {  // a matrix of pairs: numbers from one row to the next, from one pair to the next
    const Pair* first;
    int64_t row, next;
};

struct Span {  // the pairs of a sum that are not all zero; an end before the beginning: it is not wanted
    int64_t from, end;
};

// spans(m, n): of the rows from m on and the columns from n on.
template <typename Spans>
void multiply(Left a, const Pair* b, int64_t apart, int64_t rows, int64_t columns, Spans spans, float* to, bool add = false) {
    for (int64_t n = 0; n < columns; n += STEP)
        for (int64_t m = 0; m < rows; m += ROWS) {
            const Span span = spans(m, n);
            if (span.end < span.from) continue;
            const Pair *left = a.first + m * a.row + span.from * a.next, *right = b + span.from * apart + n;
            float* place = to + m * apart + n;
            if (n + STEP <= columns)
                product<2>(left, a.row, a.next, right, apart, span.end - span.from, place, apart, add);
            else
                product<1>(left, a.row, a.next, right, apart, span.end - span.from, place, apart, add);
        }
}

inline Floats wide(const Half* from) {
    return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)from)), 16);
}

// Sixteen numbers of one row, each with that of the next row, or with zero.
inline __m512i pairs_of(const Half* low, const Half* high) {
    const __m512i one = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)low));
    return high ? _mm512_or_si512(one, (__m512i)wide(high)) : one;
}

inline __m256i narrow(Floats what) { return (__m256i)_mm512_cvtneps_pbh((__m512)what); }

// Sixteen rows of sixteen pairs become columns.
inline void exchange(__m512i* rows) {
    __m512i two[LANES];
    for (int i = 0; i < LANES; i += 2) {
        two[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        two[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            rows[i + 2 * j] = _mm512_unpacklo_epi64(two[i + j], two[i + j + 2]);
            rows[i + 2 * j + 1] = _mm512_unpackhi_epi64(two[i + j], two[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        const __m512i low = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
        const __m512i more = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
        const __m512i high = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
        const __m512i most = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
        two[i] = _mm512_shuffle_i32x4(low, high, 0x88), two[i + 4] = _mm512_shuffle_i32x4(more, most, 0x88);
        two[i + 8] = _mm512_shuffle_i32x4(low, high, 0xdd), two[i + 12] = _mm512_shuffle_i32x4(more, most, 0xdd);
    }
    std::copy(two, two + LANES, rows);
}

// Rows of D numbers as columns of pairs: D/2 `apart`, a multiple of the lanes; zeros after the last row.
inline void turn(const Half* from, int64_t token, int64_t count, int64_t pairs, int64_t apart, Pair* to) {
    __m512i rows[LANES];
    for (int64_t s = 0; s < apart; s += LANES)
        for (int64_t i = 0; i < pairs; i += LANES) {
            const int64_t left = pairs - i;
            const __mmask16 there = left >= LANES ? 0xffff : (1 << left) - 1;
            for (int64_t row = 0; row < LANES; row++)
                rows[row] = s + row < count ? _mm512_maskz_loadu_epi32(there, from + (s + row) * token + 2 * i) : __m512i{};
            exchange(rows);
            for (int64_t pair = 0; pair < std::min<int64_t>(LANES, left); pair++)
                _mm512_storeu_si512(to + (i + pair) * apart + s, rows[pair]);
        }
}

// Two rows of D numbers as one of pairs; zeros after the last row, up to `whole` rows.
inline void join(const Half* from, int64_t token, int64_t count, int64_t width, int64_t whole, Pair* to) {
    std::fill(to + up(count, 2) / 2 * width, to + whole / 2 * width, 0);
    for (int64_t s = 0; s < count; s += 2) {
        const Half *low = from + s * token, *high = low + token;
        for (int64_t i = 0; i < width; i += LANES)
            _mm512_storeu_si512(to + s / 2 * width + i, pairs_of(low + i, s + 1 < count ? high + i : nullptr));
    }
}

// Rows of pairs as they are; zeros after the last row, up to `whole` rows.
inline void copy(const Half* from, int64_t token, int64_t count, int64_t pairs, int64_t whole, Pair* to) {
    std::fill(to + count * pairs, to + whole * pairs, 0);
    for (int64_t t = 0; t < count; t++) std::memcpy(to + t * pairs, from + t * token, pairs * sizeof(Pair));
}

// 2 to the x within 4e-6 of it, for half precision: of the rest of x, half a unit at most, a short series.
inline Floats power(Floats x) {
    const __m512 whole = _mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Floats r = x - (Floats)whole;
    Floats sum = r * 0.0096181292f + 0.0555041087f;
    sum = sum * r + 0.2402265070f;
    sum = sum * r + 0.6931471806f;
    sum = sum * r + 1.0f;
    return (Floats)_mm512_scalef_ps((__m512)sum, whole);
}

inline void write(const float* from, float times, int64_t width, Half* to) {
    for (int64_t i = 0; i < width; i += LANES) _mm256_storeu_si256((__m256i*)(to + i), narrow(all(from + i) * times));
}

template <typename T>
T* sized(std::vector<T>& room, int64_t size) {
    room.resize(size);
    return room.data();
}

}  // namespace halves
#endif
