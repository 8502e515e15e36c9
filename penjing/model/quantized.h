// Products with matrices of 8 or 4 bits, for one row or many (see quantized.py, which lays the matrices out).
//
// Sixteen outputs stand side by side, four inputs of each together, so that one instruction multiplies and adds 64 bytes
// and nothing is summed across. What is multiplied is rounded to 8 bits, or to 16 as two rows of 8 (`wide`), by groups
// of inputs; within a group integers are added up, exactly. A row's answer does not depend on the rows beside it.
//
// Shapes: O outputs, I inputs, G groups of inputs, N rows.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace quantized {

const int LANES = 16, SIZE = 64;                // outputs side by side, bytes of them
const int TILE = 6, CHUNK = 48, ENOUGH = 24;    // rows of a tile, of a turn, of a thread that has all outputs of them
const int BANDS = 4, WIDE = 256;                // streams far apart that are read at once; codes of a row's lower half
const float MOST = 127;

typedef uint8_t Bytes __attribute__((vector_size(SIZE)));
typedef int32_t Ints __attribute__((vector_size(SIZE)));
typedef float Floats __attribute__((vector_size(SIZE)));

struct Matrix {
    const uint8_t *codes, *shares, *zeros;  // shares and zeros of 4 bits, O/16 G 16; no zeros: all are the middle
    const float *scales, *bias;             // O
    int64_t outputs, inputs, group, bits, wide;

    int64_t groups() const { return (inputs + group - 1) / group; }
    int64_t width() const { return bits == 8 ? (inputs + 3) / 4 * 4 : groups() * group; }  // inputs with their filling
    int64_t blocks() const { return (outputs + LANES - 1) / LANES; }
    int64_t block() const { return width() * LANES * bits / 8; }  // bytes
    int64_t parts() const { return wide ? 2 : 1; }                // rows that stand for one
};

struct Rows {  // rounded rows: N width, N G, N G
    std::vector<int8_t> codes;
    std::vector<float> scales;
    std::vector<int32_t> sums;  // negative, of each group's codes

    void room(const Matrix& matrix, int64_t rows) {
        codes.resize(rows * matrix.parts() * matrix.width());
        scales.resize(rows * matrix.parts() * matrix.groups());
        sums.resize(scales.size());
    }
};

inline float largest(const float* x, int64_t n) {  // by their bits: no number is larger than all
    uint32_t most = 0, bits;
    for (int64_t i = 0; i < n; i++) {
        std::memcpy(&bits, x + i, 4);
        most = std::max(most, bits & 0x7fffffffu);
    }
    float found;
    std::memcpy(&found, &most, 4);
    return found;
}

inline int32_t rounded(const float* x, int64_t n, float inverse, int8_t* codes) {
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const int32_t code = int32_t(std::nearbyint(x[i] * inverse));
        codes[i] = int8_t(code), sum -= code;
    }
    return sum;
}

inline int32_t rounded_wide(const float* x, int64_t n, float inverse, int8_t* high, int8_t* low, int32_t& rest) {
    int32_t sum = 0;
    rest = 0;
    for (int64_t i = 0; i < n; i++) {
        const int32_t code = int32_t(std::nearbyint(x[i] * inverse)), upper = (code + WIDE / 2) >> 8;
        high[i] = int8_t(upper), low[i] = int8_t(code - upper * WIDE);
        sum -= upper, rest -= code - upper * WIDE;
    }
    return sum;
}

// A row of floats as row `at`, and the one after it if wide.
inline void round_row(const Matrix& matrix, const float* x, int64_t at, Rows& rows) {
    const int64_t width = matrix.width(), groups = matrix.groups(), filling = width - matrix.inputs;
    int8_t *codes = rows.codes.data() + at * width, *low = codes + width;
    float* scales = rows.scales.data() + at * groups;
    int32_t* sums = rows.sums.data() + at * groups;
    std::memset(codes + matrix.inputs, 0, filling);
    if (matrix.wide) std::memset(low + matrix.inputs, 0, filling);
    for (int64_t group = 0; group < groups; group++) {
        const int64_t first = group * matrix.group, n = std::min(matrix.group, matrix.inputs - first);
        const float most = largest(x + first, n), top = matrix.wide ? MOST * WIDE : MOST;
        const float inverse = most > 0 && top / most < INFINITY ? top / most : 0;
        scales[group] = inverse > 0 || !(most < INFINITY) ? most / MOST : 0;
        if (matrix.wide) {
            scales[groups + group] = scales[group] / WIDE;
            sums[group] = rounded_wide(x + first, n, inverse, codes + first, low + first, sums[groups + group]);
        } else
            sums[group] = rounded(x + first, n, inverse, codes + first);
    }
}

// Lane by lane, four codes of a matrix times the same four of a row.
inline Ints times(Ints sum, Bytes codes, const int8_t* row) {
#if defined(__AVX512VNNI__)
    int32_t four;
    std::memcpy(&four, row, 4);
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, _mm512_set1_epi32(four));
#else
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 4; i++) sum[lane] += int32_t(codes[lane * 4 + i]) * row[i];
    return sum;
#endif
}

inline Bytes bytes(const uint8_t* from) {
    Bytes found;
    std::memcpy(&found, from, SIZE);
    return found;
}

inline Ints widened(const uint8_t* from) {  // 16 bytes
#if defined(__AVX512F__)
    return (Ints)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)from));
#else
    Ints found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = from[lane];
    return found;
#endif
}

template <int ROWS, int BLOCKS>
using Found = Floats[ROWS][BLOCKS];

// ROWS rounded rows times BLOCKS blocks of 16 outputs, the first of them and those so many blocks `apart`.
template <int BITS, int ROWS, int BLOCKS>
void tile(const Matrix& matrix, const Rows& rows, int64_t row, int64_t first, int64_t apart, Found<ROWS, BLOCKS>& total) {
    const int64_t width = matrix.width(), groups = matrix.groups();
    const int8_t* x = rows.codes.data() + row * width;
    const float* scales = rows.scales.data() + row * groups;
    const int32_t* sums = rows.sums.data() + row * groups;
    const uint8_t* codes[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) codes[b] = matrix.codes + (first + b * apart) * matrix.block();
    for (int r = 0; r < ROWS; r++)
        for (int b = 0; b < BLOCKS; b++) total[r][b] = Floats{};
    int64_t at = 0;
    for (int64_t group = 0; group < groups; group++) {
        const int64_t from = group * matrix.group, n = std::min(matrix.group, width - from);
        Ints sum[ROWS][BLOCKS];
        for (int b = 0; b < BLOCKS; b++) {
            const int64_t place = ((first + b * apart) * groups + group) * LANES;
            const Ints zero = BITS == 4 && matrix.zeros ? widened(matrix.zeros + place) : Ints{} + (BITS == 8 ? 128 : 8);
            for (int r = 0; r < ROWS; r++) sum[r][b] = zero * sums[r * groups + group];
        }
        for (int64_t i = 0; i < n * BITS / 8; i += 4, at += SIZE)
            for (int b = 0; b < BLOCKS; b++) {
                const Bytes some = bytes(codes[b] + at), low = BITS == 8 ? some : some & 15, high = some >> 4;
                for (int r = 0; r < ROWS; r++) sum[r][b] = times(sum[r][b], low, x + r * width + from + i);
                if (BITS == 4)
                    for (int r = 0; r < ROWS; r++) sum[r][b] = times(sum[r][b], high, x + r * width + from + n / 2 + i);
            }
        for (int b = 0; b < BLOCKS; b++) {
            const int64_t place = ((first + b * apart) * groups + group) * LANES;
            const Floats share = BITS == 4 ? __builtin_convertvector(widened(matrix.shares + place), Floats) : Floats{};
            for (int r = 0; r < ROWS; r++) {
                const Floats found = __builtin_convertvector(sum[r][b], Floats);
                total[r][b] += found * (BITS == 4 ? share * scales[r * groups + group] : Floats{} + scales[r * groups + group]);
            }
        }
    }
}

inline Floats some(const float* from, int64_t n) {
    Floats found{};
    std::memcpy(&found, from, n * sizeof(float));
    return found;
}

// Where results go: rows that lie so far apart; whether they are added to what is there.
struct Place {
    float* to;
    int64_t apart;
    bool add;
};

template <int BITS, int ROWS, int BLOCKS>
void tiled(const Matrix& matrix, const Rows& rows, int64_t row, int64_t first, int64_t apart, const Place& place) {
    const int parts = int(matrix.parts());
    Found<ROWS, BLOCKS> total;
    tile<BITS, ROWS, BLOCKS>(matrix, rows, row, first, apart, total);
    for (int b = 0; b < BLOCKS; b++) {
        const int64_t output = (first + b * apart) * LANES, n = std::min<int64_t>(LANES, matrix.outputs - output);
        auto finish = [&](auto n) {
            const Floats scale = some(matrix.scales + output, n);
            const Floats bias = matrix.bias ? some(matrix.bias + output, n) : Floats{};
            for (int r = 0; r < ROWS; r += parts) {
                float* to = place.to + (row + r) / parts * place.apart + output;
                Floats found = total[r][b];
                if (parts == 2) found += total[r + 1][b];
                found = found * scale + bias;
                if (place.add) found += some(to, n);
                std::memcpy(to, &found, n * sizeof(float));
            }
        };
        n == LANES ? finish(std::integral_constant<int64_t, LANES>()) : finish(n);
    }
}

// Blocks times one rounded row (two, if wide).
template <int BITS, int ROWS>
void one_row(const Matrix& matrix, const Rows& rows, int64_t from, int64_t until, const Place& place) {
    const int64_t band = (until - from) / BANDS;
    for (int64_t block = from; block < from + band; block++)
        tiled<BITS, ROWS, BANDS>(matrix, rows, 0, block, band, place);
    for (int64_t block = from + BANDS * band; block < until; block++)
        tiled<BITS, ROWS, 1>(matrix, rows, 0, block, 1, place);
}

template <int BITS, int ROWS>
void across(const Matrix& matrix, const Rows& rows, int64_t row, int64_t block, int64_t until, const Place& place) {
    if (block + 1 < until)
        tiled<BITS, ROWS, 2>(matrix, rows, row, block, 1, place);
    else
        tiled<BITS, ROWS, 1>(matrix, rows, row, block, 1, place);
}

// Blocks times so many rounded rows.
template <int BITS>
void some_rows(const Matrix& matrix, const Rows& rows, int64_t count, int64_t from, int64_t until, const Place& place) {
    if (count == 1) return one_row<BITS, 1>(matrix, rows, from, until, place);
    if (count == 2) return one_row<BITS, 2>(matrix, rows, from, until, place);
    for (int64_t block = from; block < until; block += 2) {
        int64_t row = 0;
        for (; row + TILE <= count; row += TILE) across<BITS, TILE>(matrix, rows, row, block, until, place);
        for (; row + 2 <= count; row += 2) across<BITS, 2>(matrix, rows, row, block, until, place);
        if (row < count) across<BITS, 1>(matrix, rows, row, block, until, place);
    }
}

// Several matrices that read the same rows x N I and are laid out alike; their outputs stand one after the other.
struct Products {
    const Matrix* matrices;
    int64_t count, rows;
    const float* x;
    Place place;
};

// The part of one of several threads: some of the rows, or of few rows some of the outputs.
inline void products(const Products& what, int64_t thread, int64_t threads) {
    static thread_local Rows rows;
    const Matrix& like = what.matrices[0];
    const bool split = what.rows >= ENOUGH * threads;
    const int64_t share = split ? threads : 1, part = split ? thread : 0;
    const int64_t from = what.rows * part / share, until = what.rows * (part + 1) / share;
    rows.room(like, std::min<int64_t>(CHUNK, until - from));
    for (int64_t first = from; first < until; first += CHUNK) {
        const int64_t here = std::min<int64_t>(CHUNK, until - first);
        for (int64_t row = 0; row < here; row++)
            round_row(like, what.x + (first + row) * like.inputs, row * like.parts(), rows);
        Place place = what.place;
        place.to += first * place.apart;
        for (int64_t i = 0; i < what.count; place.to += what.matrices[i++].outputs) {
            const Matrix& matrix = what.matrices[i];
            const int64_t blocks = matrix.blocks(), begin = split ? 0 : blocks * thread / threads;
            const int64_t end = split ? blocks : blocks * (thread + 1) / threads, count = here * like.parts();
            matrix.bits == 8 ? some_rows<8>(matrix, rows, count, begin, end, place)
                             : some_rows<4>(matrix, rows, count, begin, end, place);
        }
    }
}

}  // namespace quantized
