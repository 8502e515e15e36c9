// Attention in bfloat16, forward and back, where the processor multiplies pairs of such numbers itself.
//
// What is between scores and answer is made anew going back, from the logarithm of each query's sum
// (FlashAttention, arXiv:2205.14135): nothing of T S numbers is ever kept. Sums are of 32 bits.
//
// Shapes: B texts, T queries, S keys, H heads, G heads that share one key's, D head width, all D pairs: D/2 pairs.

#pragma once
#include "pairs.h"

namespace halves {

struct Side {  // numbers from one text, one head, one token to the next; a token's lie side by side
    Half* first;
    int64_t text, head, token;
    Half* at(int64_t b, int64_t h, int64_t t) const { return first + b * text + h * head + t * token; }
};

struct Attention {
    Side query, key, value, made;                                    // H, H/G, H/G, H heads
    Side made_gradient, query_gradient, key_gradient, value_gradient;  // going back only
    const uint8_t* seen;                                             // by text, query and key; nothing: all
    int64_t seen_text, seen_query;                                   // numbers from one to the next
    float* logs;                                                     // B H T
    int64_t texts, queries, keys, heads, group, width, causal, back, seed;
    float scale, dropout;
};

}  // namespace halves

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(_OPENMP)
namespace halves {

const int64_t QUERIES = 64;  // of a block: its scores stay in the cache

// Numbers that look drawn, by their place (the last steps of MurmurHash3): the same going back as before.
inline uint32_t drawn(uint64_t place) {
    place = (place ^ place >> 33) * 0xff51afd7ed558ccd;
    place = (place ^ place >> 33) * 0xc4ceb9fe1a85ec53;
    return uint32_t(place ^ place >> 33);
}

inline __m512i drawn(__m512i place) {
    place = _mm512_mullo_epi32(_mm512_xor_si512(place, _mm512_srli_epi32(place, 16)), _mm512_set1_epi32(0x85ebca6b));
    place = _mm512_mullo_epi32(_mm512_xor_si512(place, _mm512_srli_epi32(place, 13)), _mm512_set1_epi32(0xc2b2ae35));
    return _mm512_xor_si512(place, _mm512_srli_epi32(place, 16));
}

struct Dropout {  // of one query: what its shares are multiplied with
    bool any;
    __m512i first, border;
    __m512 kept;

    Dropout(const Attention& what, int64_t query)
        : any(what.dropout > 0),
          first(_mm512_set1_epi32(int(drawn(uint64_t(what.seed) + uint64_t(query))))),
          border(_mm512_set1_epi32(int(uint32_t(double(what.dropout) * 4294967296.0)))),
          kept(_mm512_set1_ps(1 / (1 - what.dropout))) {}

    Floats of(int64_t s) const {  // the sixteen shares from s on
        const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i key = _mm512_add_epi32(lane, _mm512_set1_epi32(int(s)));
        const __m512i place = _mm512_add_epi32(first, _mm512_mullo_epi32(key, _mm512_set1_epi32(0x9e3779b9)));
        return (Floats)_mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(drawn(place), border), kept);
    }
};

struct Room {  // what one head needs of one text
    std::vector<Pair> key_turned, key_joined, value_turned, value_joined, query, query_joined, grown, grown_joined;
    std::vector<Pair> shares, shares_joined;                        // T S/2, T/2 S of one block
    std::vector<float> scores, share_gradient, block, keys, values;  // T S twice; T D; S D twice
    std::vector<float> inner;                                       // of a query's answer and its gradient
};

struct Head {  // of one text
    const Attention& what;
    Room& room;
    int64_t text, key_head, slots = up(what.keys, STEP), pairs = what.width / 2;
    float unit = what.scale * 1.44269504f;  // shares are powers of two

    void gather() {
        const Half *key = what.key.at(text, key_head, 0), *value = what.value.at(text, key_head, 0);
        turn(key, what.key.token, what.keys, pairs, slots, sized(room.key_turned, pairs * slots));
        join(value, what.value.token, what.keys, what.width, slots, sized(room.value_joined, slots / 2 * what.width));
        room.scores.resize(QUERIES * slots);
        room.block.resize(QUERIES * what.width);
        room.shares.resize(QUERIES * slots / 2);
        if (!what.back) return;
        join(key, what.key.token, what.keys, what.width, slots, sized(room.key_joined, slots / 2 * what.width));
        turn(value, what.value.token, what.keys, pairs, slots, sized(room.value_turned, pairs * slots));
        room.keys.assign(slots * what.width, 0), room.values.assign(slots * what.width, 0);
        room.share_gradient.resize(QUERIES * slots);
        room.shares_joined.resize(QUERIES / 2 * slots);
        room.inner.resize(QUERIES);
    }

    // What the query sees: nothing beyond `end`, and before it what `some` says, or all.
    struct Sight {
        const uint8_t* some;
        int64_t end;

        __mmask16 of(int64_t s) const {  // of the sixteen keys from s on
            const int64_t left = end - s;
            const __mmask16 there = left >= LANES ? 0xffff : left <= 0 ? 0 : (1 << left) - 1;
            if (!some) return there;
            const __m128i bytes = _mm_maskz_loadu_epi8(there, some + s);
            return _mm_test_epi8_mask(bytes, bytes);
        }
    };

    Sight sight(int64_t t) const {
        int64_t end = what.causal ? std::min(what.keys, t + 1) : what.keys;
        const uint8_t* some = what.seen ? what.seen + text * what.seen_text + t * what.seen_query : nullptr;
        if (!some) return {some, end};
        for (uint64_t eight; end >= 8; end -= 8) {
            std::memcpy(&eight, some + end - 8, 8);
            if (eight) break;
        }
        while (end > 0 && !some[end - 1]) end--;
        return {std::memchr(some, 0, end) ? some : nullptr, end};
    }

    // Some queries, and what each of them sees.
    struct Some {
        int64_t count, rows, columns;    // queries; rounded up to rows; keys that any of them sees, in steps
        Sight sights[QUERIES];
        int64_t reach[QUERIES / ROWS];  // keys that these rows see, or rows before them, in steps

        int64_t seen(int64_t m) const { return reach[m / ROWS]; }

        int64_t first(int64_t s) const {  // of the rows that see beyond the key s
            int64_t m = 0;
            while (m < rows && seen(m) <= s) m += ROWS;
            return m;
        }
    };

    void look(int64_t t, Some& some) const {
        some.count = std::min(QUERIES, what.queries - t), some.rows = up(some.count, ROWS), some.columns = 0;
        for (int64_t r = 0; r < some.rows; r++) {
            Sight& here = some.sights[r];
            here = r >= some.count ? Sight{nullptr, 0} : r && !what.causal && !what.seen_query ? some.sights[0] : sight(t + r);
            some.columns = std::max(some.columns, up(here.end, STEP)), some.reach[r / ROWS] = some.columns;
        }
    }

    // Scores of a query become shares, before their sum is divided by; returned is one over it.
    float share(float* scores, int64_t columns, Sight sight, const Dropout& dropout, Pair* to, float* log) {
        const __m512 never = _mm512_set1_ps(-INFINITY);
        __m512 most = never;
        for (int64_t s = 0; s < columns; s += LANES) {
            __m512 found = (__m512)all(scores + s);
            if (sight.some || s + LANES > sight.end)
                found = _mm512_mask_mov_ps(never, sight.of(s), found), put(scores + s, (Floats)found);
            most = _mm512_max_ps(most, found);
        }
        const float found = _mm512_reduce_max_ps(most), top = found == -INFINITY ? 0 : found * unit;
        Floats sum{};
        for (int64_t s = 0; s < columns; s += LANES) {
            const Floats part = power(all(scores + s) * unit - top);
            const Floats kept = dropout.any ? part * dropout.of(s) : part;
            _mm256_storeu_si256((__m256i*)(to + s / 2), narrow(kept)), sum += part;
        }
        const float total = _mm512_reduce_add_ps((__m512)sum);
        *log = total > 0 ? top + std::log2(total) : INFINITY;
        return total > 0 ? 1 / total : 0;
    }

    int64_t number(int64_t head, int64_t t) const { return (text * what.heads + head) * what.queries + t; }

    void forward(int64_t head) {
        const int64_t whole = up(what.queries, ROWS);
        Pair* query = sized(room.query, whole * pairs);
        copy(what.query.at(text, head, 0), what.query.token, what.queries, pairs, whole, query);
        float* logs = what.logs + number(head, 0);
        float parts[QUERIES];
        Some some;
        for (int64_t t = 0; t < what.queries; t += QUERIES) {
            look(t, some);
            score(query + t * pairs, room.key_turned, some, room.scores);
            for (int64_t r = 0; r < some.count; r++)
                parts[r] = share(room.scores.data() + r * slots, some.seen(r), some.sights[r], {what, number(head, t + r)},
                                 room.shares.data() + r * slots / 2, logs + t + r);
            mix(room.value_joined, some);
            for (int64_t r = 0; r < some.count; r++)
                write(room.block.data() + r * what.width, parts[r], what.width, what.made.at(text, head, t + r));
        }
    }

    // Each of some rows T D/2 times each of the columns that it sees.
    void score(const Pair* rows, const std::vector<Pair>& columns, const Some& some, std::vector<float>& to) const {
        multiply({rows, pairs, 1}, columns.data(), slots, some.rows, some.columns,
                 [&](int64_t m, int64_t n) { return Span{0, n < some.seen(m) ? pairs : -1}; }, to.data());
    }

    // Rows of the other side in the shares that each query has of them.
    void mix(const std::vector<Pair>& joined, const Some& some) const {
        multiply({room.shares.data(), slots / 2, 1}, joined.data(), what.width, some.rows, what.width,
                 [&](int64_t m, int64_t) { return Span{0, some.seen(m) / 2}; }, room.block.data());
    }

    // Rows of queries are added to each key that sees them, in its shares: pairs of queries, T/2 S.
    void spread(const void* shares, const Pair* joined, const Some& some, std::vector<float>& to) const {
        multiply({(const Pair*)shares, 1, slots}, joined, what.width, some.columns, what.width,
                 [&](int64_t s, int64_t) { return Span{some.first(s) / 2, some.rows / 2}; }, to.data(), true);
    }

    // Shares of two queries, and the gradient of their scores over the scale: by query and in pairs of queries.
    template <bool DROPS>
    void differ(int64_t r, int64_t columns, const Sight* sights, const float* logs, int64_t query) {
        const Dropout dropout[2] = {{what, query}, {what, query + 1}};
        const float *scores[2], *gradient[2];
        float log[2], inner[2];
        for (int i = 0; i < 2; i++) {
            const bool there = sights[r + i].end > 0;  // else it sees nothing, or there is no such query
            scores[i] = room.scores.data() + (r + i) * slots, gradient[i] = room.share_gradient.data() + (r + i) * slots;
            log[i] = there ? logs[r + i] : INFINITY, inner[i] = there ? room.inner[r + i] : 0;
        }
        for (int64_t s = 0; s < columns; s += LANES) {
            __m512i share[2], change[2];
            for (int i = 0; i < 2; i++) {
                const Sight& sight = sights[r + i];
                Floats part = power(all(scores[i] + s) * unit - log[i]);
                if (sight.some || s + LANES > sight.end) part = (Floats)_mm512_maskz_mov_ps(sight.of(s), (__m512)part);
                const Floats kept = DROPS ? dropout[i].of(s) : Floats{};
                const Floats grown = DROPS ? all(gradient[i] + s) * kept : all(gradient[i] + s);
                const __m256i small = narrow(part * (grown - inner[i]));
                _mm256_storeu_si256((__m256i*)(room.shares.data() + ((r + i) * slots + s) / 2), small);
                share[i] = _mm512_cvtepu16_epi32(narrow(DROPS ? part * kept : part)), change[i] = _mm512_cvtepu16_epi32(small);
            }
            const int64_t at = r / 2 * slots + s;  // scores there were read before
            _mm512_storeu_si512(room.shares_joined.data() + at, both(share));
            _mm512_storeu_si512(room.scores.data() + at, both(change));
        }
    }

    static __m512i both(const __m512i* two) { return _mm512_or_si512(two[0], _mm512_slli_epi32(two[1], 16)); }

    void backward(int64_t head) {
        const int64_t width = what.width, count = what.queries, whole = up(count, ROWS);
        const Side &ask = what.query, &change = what.made_gradient;
        Pair *query = sized(room.query, whole * pairs), *grown = sized(room.grown, whole * pairs);
        copy(ask.at(text, head, 0), ask.token, count, pairs, whole, query);
        copy(change.at(text, head, 0), change.token, count, pairs, whole, grown);
        join(ask.at(text, head, 0), ask.token, count, width, whole, sized(room.query_joined, whole / 2 * width));
        join(change.at(text, head, 0), change.token, count, width, whole, sized(room.grown_joined, whole / 2 * width));
        const float* logs = what.logs + number(head, 0);
        Some some;
        for (int64_t t = 0; t < what.queries; t += QUERIES) {
            look(t, some);
            for (int64_t r = 0; r < some.count; r++) room.inner[r] = inner(head, t + r);
            score(query + t * pairs, room.key_turned, some, room.scores);
            score(grown + t * pairs, room.value_turned, some, room.share_gradient);
            for (int64_t r = 0; r < some.rows; r += 2)
                what.dropout > 0 ? differ<true>(r, some.seen(r), some.sights, logs + t, number(head, t + r))
                                 : differ<false>(r, some.seen(r), some.sights, logs + t, number(head, t + r));
            mix(room.key_joined, some);
            for (int64_t r = 0; r < some.count; r++)
                write(room.block.data() + r * width, what.scale, width, what.query_gradient.at(text, head, t + r));
            spread(room.scores.data(), room.query_joined.data() + t / 2 * width, some, room.keys);
            spread(room.shares_joined.data(), room.grown_joined.data() + t / 2 * width, some, room.values);
        }
    }

    float inner(int64_t head, int64_t t) const {
        const Half *made = what.made.at(text, head, t), *gradient = what.made_gradient.at(text, head, t);
        Floats sum{};
        for (int64_t i = 0; i < what.width; i += LANES) sum += wide(made + i) * wide(gradient + i);
        return _mm512_reduce_add_ps((__m512)sum);
    }

    void all_of_group() {
        gather();
        for (int64_t head = key_head * what.group; head < (key_head + 1) * what.group; head++)
            what.back ? backward(head) : forward(head);
        if (!what.back) return;
        for (int64_t s = 0; s < what.keys; s++) {
            write(room.keys.data() + s * what.width, what.scale, what.width, what.key_gradient.at(text, key_head, s));
            write(room.values.data() + s * what.width, 1, what.width, what.value_gradient.at(text, key_head, s));
        }
    }
};

inline void attend(const Attention& what, int64_t threads) {
    const int64_t shared = what.heads / what.group, count = what.texts * shared;
#pragma omp parallel for schedule(static) num_threads(int(threads))
    for (int64_t one = 0; one < count; one++) {
        static thread_local Room room;
        Head{what, room, one / shared, one % shared}.all_of_group();
    }
}

}  // namespace halves

extern "C" int64_t attend_halves(const halves::Attention* what, int64_t threads) {
    if (what) halves::attend(*what, threads);
    return 1;
}
#else
extern "C" int64_t attend_halves(const halves::Attention*, int64_t) { return 0; }
#endif
