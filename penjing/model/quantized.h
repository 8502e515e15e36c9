// Products with matrices of 8 or 4 bits, for one row or many (see quantized.py, which lays the matrices out).
//
// Sixteen outputs stand side by side, four inputs of each together, so that one instruction multiplies and adds 64 bytes
// and nothing is summed across. What is multiplied is rounded to 8 bits, or to 16 as two rows of 8 (`wide`), by groups
// of inputs; within a group integers are added up, exactly. A row's answer does not depend on the rows beside it.
//
// Shapes: O outputs, I inputs, G groups of inputs, N rows.

#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "vectors.h"

namespace quantized {

using namespace vectors;

const int TILE = 6, CHUNK = 48, ENOUGH = 24;    // rows of a tile, of a turn, of a thread that has all outputs of them
const int BANDS = 4, WIDE = 256, PIECE = 32;  // streams far apart that are read at once; codes of a row's lower half
const float MOST = 127;

template <int64_t N>
using Constant = std::integral_constant<int64_t, N>;

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

inline int64_t whole(int64_t n, int64_t parts) { return (n + parts - 1) / parts * parts; }

struct Rows {  // rounded rows: N width, N G, N G; and of one that is made what its groups are multiplied by
    std::vector<int8_t> codes;
    std::vector<float> scales, inverses;
    std::vector<int32_t> sums;  // negative, of each group's codes

    void room(const Matrix& matrix, int64_t rows) {
        codes.resize(rows * matrix.parts() * whole(matrix.width(), PIECE));
        scales.resize(rows * matrix.parts() * matrix.groups());
        sums.resize(scales.size()), inverses.resize(matrix.groups());
    }
};

template <typename N>
inline float largest(const float* x, N n) {  // by their bits: no number is larger than all
    const int32_t unsigned_bits = 0x7fffffff;
    Ints most{};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) most = larger(most, (Ints)all(x + i) & unsigned_bits);
    if (i < n) most = larger(most, (Ints)some(x + i, n - i) & unsigned_bits);
    const int32_t bits = largest_of(most);
    float found;
    std::memcpy(&found, &bits, 4);
    return found;
}

// Rows are multiplied by so many at once, and lie accordingly: a piece of each, then the next piece of each.
struct Seat {
    int64_t first, size, row;  // of the tile; of the row within it

    Seat(int64_t at, int64_t count) {
        const int64_t whole = count / TILE * TILE;
        first = at < whole ? at / TILE * TILE : at - (at - whole) % 2;
        size = at < whole ? TILE : first + 1 < count ? 2 : 1, row = at - first;
    }
    int64_t operator()(int64_t input) const { return input / PIECE * PIECE * size + row * PIECE + input % PIECE; }
};

// n numbers become codes, by sixteens up to `room`; returned is the sum of these, negative.
template <typename N>
inline int32_t rounded(const float* x, N n, int64_t room, float inverse, int8_t* codes, Seat seat, int64_t first) {
    Ints sum{};
    for (int64_t i = 0; i < room; i += LANES) {
        const Ints code = nearest((i + LANES <= n ? all(x + i) : some(x + i, std::max<int64_t>(0, n - i))) * inverse);
        narrow(code, codes + seat(first + i));
        sum -= code;
    }
    return sum_of(sum);
}

inline int32_t rounded_wide(const float* x, int64_t n, int64_t room, float inverse, int8_t* codes, Seat seat,
                            int64_t first, int32_t& rest) {
    Ints sum{}, rests{};
    for (int64_t i = 0; i < room; i += LANES) {
        const Ints code = nearest(some(x + i, std::clamp<int64_t>(n - i, 0, LANES)) * inverse);
        const Ints upper = (code + WIDE / 2) >> 8;
        narrow(upper, codes + seat(first + i)), narrow(code - upper * WIDE, codes + seat(first + i) + PIECE);
        sum -= upper, rests -= code - upper * WIDE;
    }
    rest = sum_of(rests);
    return sum_of(sum);
}

// A row of floats as row `at` of `count`, and the one after it if wide.
inline void round_row(const Matrix& matrix, const float* x, int64_t at, int64_t count, Rows& rows) {
    const int64_t groups = matrix.groups(), width = matrix.width(), size = matrix.group;
    const Seat seat(at, count);
    int8_t* codes = rows.codes.data() + seat.first * whole(width, PIECE);
    float *scales = rows.scales.data() + seat.first * groups + seat.row, *inverses = rows.inverses.data();
    int32_t* sums = rows.sums.data() + seat.first * groups + seat.row;
    for (int64_t group = 0; group < groups; group++)
    {
        const int64_t n = std::min(size, matrix.inputs - group * size);
        inverses[group] = n == 64 ? largest(x + group * size, Constant<64>()) : largest(x + group * size, n);
    }
    for (int64_t group = 0; group < groups; group++) {
        const float most = inverses[group], top = matrix.wide ? MOST * WIDE : MOST;
        inverses[group] = most > 0 && top / most < INFINITY ? top / most : 0;
        scales[group * seat.size] = inverses[group] > 0 || !(most < INFINITY) ? most / MOST : 0;
    }
    for (int64_t group = 0; group < groups; group++, scales += seat.size, sums += seat.size) {
        const int64_t first = group * size, n = std::min(size, matrix.inputs - first);
        const int64_t room = std::min(size, width - first);
        if (matrix.wide) {
            scales[1] = *scales / WIDE;
            *sums = rounded_wide(x + first, n, room, inverses[group], codes, seat, first, sums[1]);
        } else
            *sums = n == 64 ? rounded(x + first, Constant<64>(), 64, inverses[group], codes, seat, first)
                            : rounded(x + first, n, room, inverses[group], codes, seat, first);
    }
}


inline Ints four(const int8_t* row) {  // the same four codes of a row in each lane
    int32_t found;
    std::memcpy(&found, row, 4);
    return Ints{} + found;
}

// Lane by lane, four codes of a matrix times four of a row.
inline Ints times(Ints sum, Bytes codes, Ints row) {
#if defined(__AVX512VNNI__)
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, (__m512i)row);
#else
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 4; i++) sum[lane] += int32_t(codes[lane * 4 + i]) * int8_t(row[lane] >> 8 * i);
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

// Where results go: rows that lie so far apart; whether they are added to what is there.
struct Place {
    float* to;
    int64_t apart;
    bool add;
};

// Sums of ROWS rounded rows become n outputs.
template <int ROWS>
__attribute__((always_inline)) inline void finish(const Matrix& matrix, const Floats* sums, int64_t row, int64_t output, int64_t n, const Place& place) {
    const int parts = int(matrix.parts());
    const bool whole = n == LANES;
    const Floats scale = whole ? all(matrix.scales + output) : some(matrix.scales + output, n);
    const Floats bias = !matrix.bias ? Floats{} : whole ? all(matrix.bias + output) : some(matrix.bias + output, n);
    for (int r = 0; r < ROWS; r += parts) {
        float* to = place.to + (row + r) / parts * place.apart + output;
        Floats found = parts == 2 ? sums[r] + sums[r + 1] : sums[r];
        found = found * scale + bias;
        if (place.add) found += whole ? all(to) : some(to, n);
        whole ? put(to, found) : void(std::memcpy(to, &found, n * sizeof(float)));
    }
}

// Add n inputs of ROWS rows times those of BLOCKS blocks.
template <int ROWS, int BLOCKS, typename N>
inline void add(Ints (&sum)[ROWS][BLOCKS], const uint8_t* const* codes, int64_t at, const int8_t* x, N n) {
    for (int64_t i = 0; i < n; i += 4) {
        Bytes some[BLOCKS];
        for (int b = 0; b < BLOCKS; b++) some[b] = bytes(codes[b] + at + i * LANES);
        for (int r = 0; r < ROWS; r++) {
            const Ints row = four(x + r * PIECE + i);
            for (int b = 0; b < BLOCKS; b++) sum[r][b] = times(sum[r][b], some[b], row);
        }
    }
}

// Add 32 inputs whose codes stand two in a byte: 16 of the lower halves, and those of the upper ones.
template <int ROWS, int BLOCKS>
inline void add_halves(Ints (&sum)[ROWS][BLOCKS], const uint8_t* const* codes, int64_t at, const int8_t* low,
                       const int8_t* high) {
    for (int i = 0; i < LANES; i += 4) {
        Bytes some[BLOCKS];
        for (int b = 0; b < BLOCKS; b++) some[b] = bytes(codes[b] + at + i * LANES);
        for (int r = 0; r < ROWS; r++) {
            const Ints lower = four(low + r * PIECE + i), upper = four(high + r * PIECE + i);
            for (int b = 0; b < BLOCKS; b++) {
                sum[r][b] = times(sum[r][b], some[b] & 15, lower);
                sum[r][b] = times(sum[r][b], some[b] >> 4, upper);
            }
        }
    }
}

// ROWS rounded rows times BLOCKS blocks of 16 outputs, the first of them and those so many blocks `apart`. All that is
// summed up stays in registers, 27 of them if rows are six and blocks two.
template <int BITS, int ROWS, int BLOCKS>
void tile(const Matrix& matrix, const Rows& rows, int64_t row, int64_t first, int64_t apart, const Place& place) {
    const int64_t width = matrix.width(), groups = matrix.groups(), size = matrix.group;
    const int8_t* x = rows.codes.data() + row * whole(width, PIECE);
    const float* scales = rows.scales.data() + row * groups;
    const int32_t* sums = rows.sums.data() + row * groups;
    const uint8_t* codes[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) codes[b] = matrix.codes + (first + b * apart) * matrix.block();
    Floats total[ROWS][BLOCKS] = {};
    for (int64_t group = 0; group < groups; group++) {
        const int64_t from = group * size, until = std::min(from + size, width);
        Ints sum[ROWS][BLOCKS];
        for (int b = 0; b < BLOCKS; b++) {
            const int64_t at = ((first + b * apart) * groups + group) * LANES;
            if (BITS == 4 && matrix.zeros)
                for (int r = 0; r < ROWS; r++) sum[r][b] = widened(matrix.zeros + at) * sums[group * ROWS + r];
            else
                for (int r = 0; r < ROWS; r++) sum[r][b] = Ints{} + sums[group * ROWS + r] * (BITS == 8 ? 128 : 8);
        }
        if (BITS == 8)
            for (int64_t i = from; i < until; i += PIECE)
                until - i < PIECE ? add<ROWS, BLOCKS>(sum, codes, i * LANES, x + i * ROWS, until - i)
                                  : add<ROWS, BLOCKS>(sum, codes, i * LANES, x + i * ROWS, Constant<PIECE>());
        else
            for (int64_t i = from; i < from + size / 2; i += LANES) {
                const int64_t high = i + size / 2;
                add_halves<ROWS, BLOCKS>(sum, codes, (2 * i - from) * LANES / 2, x + i / PIECE * PIECE * ROWS + i % PIECE,
                                         x + high / PIECE * PIECE * ROWS + high % PIECE);
            }
        for (int b = 0; b < BLOCKS; b++) {
            const int64_t at = ((first + b * apart) * groups + group) * LANES;
            const Floats share = BITS == 4 ? __builtin_convertvector(widened(matrix.shares + at), Floats) : Floats{};
            for (int r = 0; r < ROWS; r++) {
                const Floats scale = BITS == 4 ? share * scales[group * ROWS + r] : Floats{} + scales[group * ROWS + r];
                total[r][b] += __builtin_convertvector(sum[r][b], Floats) * scale;
            }
        }
    }
    for (int b = 0; b < BLOCKS; b++) {
        const int64_t output = (first + b * apart) * LANES, n = std::min<int64_t>(LANES, matrix.outputs - output);
        Floats found[ROWS];
        for (int r = 0; r < ROWS; r++) found[r] = total[r][b];
        finish<ROWS>(matrix, found, row, output, n, place);
    }
}

// Blocks times one rounded row (two, if wide).
template <int BITS, int ROWS>
void one_row(const Matrix& matrix, const Rows& rows, int64_t from, int64_t until, const Place& place) {
    const int64_t band = (until - from) / BANDS;
    for (int64_t block = from; block < from + band; block++)
        tile<BITS, ROWS, BANDS>(matrix, rows, 0, block, band, place);
    for (int64_t block = from + BANDS * band; block < until; block++)
        tile<BITS, ROWS, 1>(matrix, rows, 0, block, 1, place);
}

template <int BITS, int ROWS>
void across(const Matrix& matrix, const Rows& rows, int64_t row, int64_t block, int64_t until, const Place& place) {
    if (block + 1 < until)
        tile<BITS, ROWS, 2>(matrix, rows, row, block, 1, place);
    else
        tile<BITS, ROWS, 1>(matrix, rows, row, block, 1, place);
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

// Whether there are enough rows for each thread to have some of its own, and all outputs of them.
inline bool enough(int64_t rows, int64_t threads) { return rows >= ENOUGH * threads; }

// At most CHUNK rows, and of each matrix the part of one of several threads.
inline void chunk(const Products& what, int64_t thread, int64_t threads) {
    static thread_local Rows rows;
    const Matrix& like = what.matrices[0];
    rows.room(like, what.rows);
    for (int64_t row = 0; row < what.rows; row++) round_row(like, what.x + row * like.inputs, row * like.parts(), what.rows * like.parts(), rows);
    Place place = what.place;
    for (int64_t i = 0; i < what.count; place.to += what.matrices[i++].outputs) {
        const Matrix& matrix = what.matrices[i];
        const int64_t begin = matrix.blocks() * thread / threads, end = matrix.blocks() * (thread + 1) / threads;
        const int64_t count = what.rows * like.parts();
        matrix.bits == 8 ? some_rows<8>(matrix, rows, count, begin, end, place)
                         : some_rows<4>(matrix, rows, count, begin, end, place);
    }
}

inline Products from_row(Products what, int64_t first, int64_t rows) {
    what.x += first * what.matrices[0].inputs, what.place.to += first * what.place.apart, what.rows = rows;
    return what;
}

// The part of one of several threads: some of the rows, or of few rows some of the outputs.
inline void products(const Products& what, int64_t thread, int64_t threads) {
    const bool own = enough(what.rows, threads);
    const int64_t from = own ? what.rows * thread / threads : 0, until = own ? what.rows * (thread + 1) / threads : what.rows;
    for (int64_t first = from; first < until; first += CHUNK) {
        const Products some = from_row(what, first, std::min<int64_t>(CHUNK, until - first));
        own ? chunk(some, 0, 1) : chunk(some, thread, threads);
    }
}

// An MLP: products, of one matrix or of a gate and what it is multiplied with, activated, and their product in turn.
// `first` says it into a room, N I or N 2I, where it becomes what `second` reads, N I: where the first half was.
struct Feed {
    Products first, second;
    int64_t activation;
};

// The part of a thread, of few rows; all wait for one another in between.
template <typename Wait>
void feed_few(const Feed& what, int64_t thread, int64_t threads, Wait wait) {
    const Products &first = what.first, &second = what.second;
    const int64_t blocks = first.matrices[0].blocks(), inner = second.matrices[0].inputs, rows = first.rows;
    const int64_t begin = blocks * thread / threads * LANES, n = blocks * (thread + 1) / threads * LANES - begin;
    products(first, thread, threads);
    for (int64_t row = 0; row < rows; row++) {
        const float *x = first.place.to + row * first.place.apart + begin, *y = first.count > 1 ? x + inner : nullptr;
        activate(what.activation, x, y, const_cast<float*>(second.x) + row * inner + begin, n);
    }
    wait();
    products(second, thread, threads);
}

template <typename Wait>
void feed(const Feed& what, int64_t thread, int64_t threads, Wait wait) {
    static thread_local std::vector<float> room;
    const int64_t inner = what.second.matrices[0].inputs, apart = what.first.count * inner, rows = what.first.rows;
    if (!enough(rows, threads)) return feed_few(what, thread, threads, wait);
    const int64_t until = rows * (thread + 1) / threads;
    room.resize(CHUNK * apart);
    for (int64_t first = rows * thread / threads; first < until; first += CHUNK) {
        const int64_t here = std::min<int64_t>(CHUNK, until - first);
        Products some = from_row(what.first, first, here), then = from_row(what.second, first, here);
        some.place = {room.data(), apart, false}, then.x = room.data();
        chunk(some, 0, 1);
        for (int64_t row = 0; row < here; row++) {
            const float *x = room.data() + row * apart, *y = what.first.count > 1 ? x + inner : nullptr;
            activate(what.activation, x, y, room.data() + row * inner, inner);
        }
        chunk(then, 0, 1);
    }
}

}  // namespace quantized
