// Sixteen numbers at once, and the functions that a network takes of them.
//
// The flags of the compiler let sums be taken in any order: what must not be is written so that no order changes it.

#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vectors {

const int LANES = 16, SIZE = 64;  // numbers, bytes

typedef uint8_t Bytes __attribute__((vector_size(SIZE)));
typedef int32_t Ints __attribute__((vector_size(SIZE)));
typedef float Floats __attribute__((vector_size(SIZE)));
typedef int8_t Codes __attribute__((vector_size(LANES)));

enum Activation { GELU, GELU_TANH, SILU, RELU };  // as in layers.py

inline Floats some(const float* from, int64_t n) {
    Floats found{};
    std::memcpy(&found, from, n * sizeof(float));
    return found;
}

inline Floats all(const float* from) {
    Floats found;
    std::memcpy(&found, from, SIZE);
    return found;
}

inline void put(float* to, Floats what) { std::memcpy(to, &what, SIZE); }

inline Ints larger(Ints a, Ints b) { return a < b ? b : a; }
inline Floats larger(Floats a, Floats b) { return a < b ? b : a; }  // no number stays, as `a`
inline Floats smaller(Floats a, Floats b) { return a > b ? b : a; }
inline Floats magnitude(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }

inline Ints nearest(Floats x) {
#if defined(__AVX512F__)
    return (Ints)_mm512_cvtps_epi32((__m512)x);
#else
    Ints found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = int32_t(std::nearbyint(x[lane]));
    return found;
#endif
}

inline void narrow(Ints what, int8_t* to) {
    const Codes codes = __builtin_convertvector(what, Codes);
    std::memcpy(to, &codes, LANES);
}

inline int32_t sum_of(Ints what) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_epi32((__m512i)what);
#else
    int32_t sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += what[lane];
    return sum;
#endif
}

inline int32_t largest_of(Ints what) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_epi32((__m512i)what);
#else
    int32_t most = what[0];
    for (int lane = 1; lane < LANES; lane++) most = what[lane] > most ? what[lane] : most;
    return most;
#endif
}

// e to the x within 2e-7 of it: x is n ln 2 and a rest, whose series is short.
inline Floats exponential(Floats x) {
    x = smaller(x, Floats{} + 88.0f);
    const Ints n = __builtin_convertvector(x * 1.44269504f + 128.5f, Ints) - 128;
    const Floats r = x - __builtin_convertvector(n, Floats) * 0.69314718f;
    Floats sum = r * (1.0f / 5040) + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    return x < -87.0f ? Floats{} : sum * (Floats)((n + 127) << 23);
}

// x times the normal distribution's share below x, within 1e-6 (Abramowitz and Stegun, 7.1.28).
inline Floats gelu(Floats x) {
    const Floats z = magnitude(x) * 0.70710678f;
    Floats p = z * 0.0000430638f + 0.0002765672f;
    p = p * z + 0.0001520143f;
    p = p * z + 0.0092705272f;
    p = p * z + 0.0422820123f;
    p = p * z + 0.0705230784f;
    p = p * z + 1.0f;
    p *= p, p *= p, p *= p, p *= p;
    return larger(x, Floats{}) - z * 0.70710678f / p;
}

inline Floats sigmoid(Floats x) { return 1.0f / (exponential(-x) + 1.0f); }

inline Floats gelu_tanh(Floats x) { return x * sigmoid((x + 0.044715f * x * x * x) * 1.59576912f); }

template <typename Function>
inline void each(const float* x, const float* y, float* to, int64_t n, Function function) {
    for (int64_t i = 0; i < n; i += LANES) {
        Floats found = function(all(x + i));
        if (y) found *= all(y + i);
        put(to + i, found);
    }
}

// n numbers, a multiple of the lanes; y is the other side of a gate.
__attribute__((noinline)) inline void activate(int64_t kind, const float* x, const float* y, float* to, int64_t n) {
    switch (kind) {
        case GELU: return each(x, y, to, n, [](Floats x) { return gelu(x); });
        case GELU_TANH: return each(x, y, to, n, [](Floats x) { return gelu_tanh(x); });
        case SILU: return each(x, y, to, n, [](Floats x) { return x * sigmoid(x); });
        default: return each(x, y, to, n, [](Floats x) { return larger(x, Floats{}); });
    }
}

}  // namespace vectors
