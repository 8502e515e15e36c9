// RMSNorm (arXiv:1910.07467), rotary positions (arXiv:2104.09864), activations with their gates (arXiv:2002.05202) and
// cross-entropy in bfloat16, forward and back: rows stay in the cache, where several operations would read and write them
// up to ten times. Sums are of 32 bits.
//
// Shapes: N rows, W width, I inner width, B texts, T tokens, H heads, D head width, V vocabulary.

#pragma once
#include "halves.h"

namespace halves {

struct Norm {
    const Half *x, *weight, *gradient;  // N W, W, N W; gradient: going back only
    Half* to;                           // N W: what is said, or the gradient of x
    float *scales, *weight_gradient;    // N; threads W, or nothing
    int64_t rows, width;
    float eps;
};

struct Turn {
    Side x, to;                 // T tokens of B texts, H heads each
    const Half *cosine, *sine;  // T D, the sine of the first half with its sign
    int64_t texts, tokens, heads, width, text, back;  // text: numbers from one text's angles to the next's
};

struct Rows {  // so many numbers from one row to the next
    Half* first;
    int64_t apart;
};

struct Gate {
    Rows x, y, gradient, to, x_gradient, y_gradient;  // N I each; y: what the activation is multiplied with, or nothing
    int64_t rows, width, kind, back;
};

struct Surprise {
    Half* scores;           // N V; become their gradient, if it is wanted
    const int64_t* labels;  // N
    float* losses;          // N
    int64_t rows, width, wanted;
    float smoothing;
};

}  // namespace halves

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(_OPENMP)
namespace halves {

inline float sum(Floats what) { return _mm512_reduce_add_ps((__m512)what); }

inline float single(Half what) { return ((Floats)_mm512_set1_epi32(int(what) << 16))[0]; }

inline void store(Half* to, Floats what) { _mm256_storeu_si256((__m256i*)to, narrow(what)); }

inline void norm(const Norm& what, int64_t row) {
    const Half* x = what.x + row * what.width;
    Floats square{};
    for (int64_t i = 0; i < what.width; i += LANES) square += wide(x + i) * wide(x + i);
    const float scale = what.scales[row] = 1 / std::sqrt(sum(square) / what.width + what.eps);
    for (int64_t i = 0; i < what.width; i += LANES)
        store(what.to + row * what.width + i, wide(x + i) * scale * wide(what.weight + i));
}

inline void norm_back(const Norm& what, int64_t row, float* weight_gradient) {
    const Half *x = what.x + row * what.width, *gradient = what.gradient + row * what.width;
    const float scale = what.scales[row];
    Floats along{};
    for (int64_t i = 0; i < what.width; i += LANES) along += wide(gradient + i) * wide(what.weight + i) * wide(x + i);
    const float less = sum(along) / what.width * scale * scale;
    for (int64_t i = 0; i < what.width; i += LANES) {
        const Floats grown = wide(gradient + i), here = wide(x + i);
        store(what.to + row * what.width + i, (grown * wide(what.weight + i) - here * less) * scale);
        if (weight_gradient) put(weight_gradient + i, all(weight_gradient + i) + grown * here * scale);
    }
}

// The halves of each head turned against each other; going back, the other way round.
inline void turn(const Turn& what, int64_t text, int64_t token) {
    const int64_t half = what.width / 2;
    const Half *cosine = what.cosine + text * what.text + token * what.width;
    const Half *sine = what.sine + text * what.text + token * what.width;
    for (int64_t head = 0; head < what.heads; head++) {
        const Half* x = what.x.at(text, head, token);
        Half* to = what.to.at(text, head, token);
        for (int64_t i = 0; i < half; i += LANES) {
            const Floats low = wide(x + i), high = wide(x + half + i);
            const Floats one = wide(sine + (what.back ? half : 0) + i), other = wide(sine + (what.back ? 0 : half) + i);
            store(to + i, low * wide(cosine + i) + high * one);
            store(to + half + i, high * wide(cosine + half + i) + low * other);
        }
    }
}

struct Active {
    Floats value, slope;
};

inline Active active(int64_t kind, Floats x) {
    if (kind == SILU) {
        const Floats share = 1.0f / (power(x * -1.44269504f) + 1.0f);
        return {x * share, share * (1.0f + x * (1.0f - share))};
    }
    if (kind == RELU) return {larger(x, Floats{}), x > 0.0f ? Floats{} + 1.0f : Floats{}};
    const Floats size = magnitude(x), value = gelu(x);  // of the tanh formula too: they differ by less than 0.0005
    const Floats below = size < 1e-3f ? Floats{} + 0.5f : value / x;
    return {value, below + x * 0.39894228f * power(x * x * -0.72134752f)};
}

template <bool BACK>
void gate(const Gate& what, int64_t row) {
    const Half *x = what.x.first + row * what.x.apart, *y = what.y.first ? what.y.first + row * what.y.apart : nullptr;
    for (int64_t i = 0; i < what.width; i += LANES) {
        const Active found = active(what.kind, wide(x + i));
        if (!BACK) {
            store(what.to.first + row * what.to.apart + i, y ? found.value * wide(y + i) : found.value);
            continue;
        }
        const Floats grown = wide(what.gradient.first + row * what.gradient.apart + i);
        store(what.x_gradient.first + row * what.x_gradient.apart + i, grown * (y ? found.slope * wide(y + i) : found.slope));
        if (y) store(what.y_gradient.first + row * what.y_gradient.apart + i, grown * found.value);
    }
}

// Cross-entropy of a row of scores with its label (smoothed: arXiv:1512.00567). `powers`: room for V numbers, rounded up.
inline void surprise(const Surprise& what, int64_t row, float* powers) {
    const int64_t width = what.width, whole = width / LANES * LANES, label = what.labels[row];
    Half *x = what.scores + row * width, last[LANES];
    std::fill(last, last + LANES, Half(0xff80));  // minus infinity
    std::copy(x + whole, x + width, last);
    Floats most = wide(last), total{}, norm{};
    for (int64_t i = 0; i < whole; i += LANES) most = larger(most, wide(x + i)), total += wide(x + i);
    const float top = _mm512_reduce_max_ps((__m512)most), here = what.smoothing, each = here / width;
    float all_scores = sum(total);
    for (int64_t i = whole; i < width; i++) all_scores += single(x[i]);
    const float right = single(x[label]);
    for (int64_t i = 0; i < width; i += LANES) {
        const Floats power_here = power((wide(i < whole ? x + i : last) - top) * 1.44269504f);
        norm += power_here;
        put(powers + i, power_here);
    }
    const float scale = sum(norm);
    what.losses[row] = std::log(scale) + top - (1 - here) * right - (here ? each * all_scores : 0.0f);
    if (!what.wanted) return;
    const float share = 1 / scale, chosen = powers[label] * share - each - (1 - here);
    for (int64_t i = 0; i < whole; i += LANES) store(x + i, all(powers + i) * share - each);
    store(last, all(powers + whole) * share - each);
    std::copy(last, last + width - whole, x + whole);
    store(last, Floats{} + chosen);
    x[label] = last[0];
}

}  // namespace halves

extern "C" void surprise_halves(const halves::Surprise* what, int64_t threads) {
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<float> powers(halves::up(what->width, halves::LANES) + halves::LANES);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < what->rows; row++) halves::surprise(*what, row, powers.data());
    }
}

extern "C" void gate_halves(const halves::Gate* what, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(int(threads))
    for (int64_t row = 0; row < what->rows; row++) what->back ? halves::gate<true>(*what, row) : halves::gate<false>(*what, row);
}

extern "C" void norm_halves(const halves::Norm* what, int64_t threads) {
#pragma omp parallel num_threads(int(threads))
    {
        const int64_t thread = omp_get_thread_num(), count = omp_get_num_threads();
        float* own = what->weight_gradient ? what->weight_gradient + thread * what->width : nullptr;
        for (int64_t row = what->rows * thread / count; row < what->rows * (thread + 1) / count; row++)
            what->gradient ? halves::norm_back(*what, row, own) : halves::norm(*what, row);
    }
}

extern "C" void turn_halves(const halves::Turn* what, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(int(threads))
    for (int64_t one = 0; one < what->texts * what->tokens; one++)
        halves::turn(*what, one / what->tokens, one % what->tokens);
}
#else
extern "C" void norm_halves(const halves::Norm*, int64_t) {}
extern "C" void turn_halves(const halves::Turn*, int64_t) {}
extern "C" void gate_halves(const halves::Gate*, int64_t) {}
extern "C" void surprise_halves(const halves::Surprise*, int64_t) {}
#endif
