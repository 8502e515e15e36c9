// Attention of many queries to the real keys of their own text. What is padded is left out, not masked, so that the
// answer to a text does not depend on the texts beside it.
//
// Shapes: B texts, T queries, S keys, H heads, G queries' heads that share a key's, D head width.

#pragma once
#include <vector>

#include "vectors.h"

namespace attention {

using namespace vectors;

const int QUERIES = 8, KEYS = 2;  // queries and vectors of keys that are multiplied at once

inline int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

struct Side {  // queries, keys or values: numbers from one text, one head, one token to the next
    const float* first;
    int64_t text, head, token;
};

struct Attention {
    Side query, key, value;
    const uint8_t* seen;  // B S: which keys are real; nothing: all
    float* to;            // B T H D
    int64_t texts, queries, keys, heads, group, width;
    float scale;
};

struct Room {
    std::vector<float> keys, values, scores, queries;  // D S, S D, QUERIES S, QUERIES D
    std::vector<int64_t> real;

    void make(const Attention& what, int64_t padded) {
        keys.assign(what.width * padded, 0);
        values.assign(padded * what.width, 0);
        scores.resize(QUERIES * padded);
        queries.resize(QUERIES * what.width);
    }
};

// Scores of ROWS queries and all keys.
template <int ROWS, int VECTORS>
void products(const float* queries, const float* keys, int64_t width, int64_t padded, float* scores) {
    Floats sums[ROWS][VECTORS] = {};
    for (int64_t i = 0; i < width; i++)
        for (int v = 0; v < VECTORS; v++) {
            const Floats key = all(keys + i * padded + v * LANES);
            for (int r = 0; r < ROWS; r++) sums[r][v] += key * queries[r * width + i];
        }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) put(scores + r * padded + v * LANES, sums[r][v]);
}

// Scores become shares of one, before their sum is divided by; returned is one over it.
inline float shares(float* scores, int64_t count, int64_t padded) {
    float most = -INFINITY;
    for (int64_t s = 0; s < count; s++) most = scores[s] > most ? scores[s] : most;
    for (int64_t s = count; s < padded; s++) scores[s] = -INFINITY;
    Floats sum{};
    for (int64_t s = 0; s < padded; s += LANES) {
        const Floats share = exponential(all(scores + s) - most);
        put(scores + s, share), sum += share;
    }
    float total = 0;
    for (int lane = 0; lane < LANES; lane++) total += sum[lane];
    return total == 0 ? 0 : 1 / total;
}

// Values in the shares of ROWS queries.
template <int ROWS, int VECTORS>
void mixed(const float* scores, const float* values, int64_t count, int64_t padded, const float* parts, float* to,
           int64_t width, int64_t apart) {
    Floats sums[ROWS][VECTORS] = {};
    for (int64_t s = 0; s < count; s++)
        for (int v = 0; v < VECTORS; v++) {
            const Floats value = all(values + s * width + v * LANES);
            for (int r = 0; r < ROWS; r++) sums[r][v] += value * scores[r * padded + s];
        }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) put(to + r * apart + v * LANES, sums[r][v] * parts[r]);
}

template <int ROWS>
void some_queries(const Attention& what, const float* query, int64_t count, int64_t padded, Room& room, float* to) {
    const int64_t width = what.width, apart = what.heads * width;
    float parts[ROWS];
    for (int r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < width; i++) room.queries[r * width + i] = query[r * what.query.token + i] * what.scale;
    int64_t s = 0;
    for (; s + KEYS * LANES <= padded; s += KEYS * LANES)
        products<ROWS, KEYS>(room.queries.data(), room.keys.data() + s, width, padded, room.scores.data() + s);
    for (; s < padded; s += LANES)
        products<ROWS, 1>(room.queries.data(), room.keys.data() + s, width, padded, room.scores.data() + s);
    for (int r = 0; r < ROWS; r++) parts[r] = shares(room.scores.data() + r * padded, count, padded);
    int64_t i = 0;
    for (; i + 2 * LANES <= width; i += 2 * LANES)
        mixed<ROWS, 2>(room.scores.data(), room.values.data() + i, count, padded, parts, to + i, width, apart);
    for (; i < width; i += LANES)
        mixed<ROWS, 1>(room.scores.data(), room.values.data() + i, count, padded, parts, to + i, width, apart);
}

// Keys and values of one head that are real, keys turned round.
inline void gather(const Attention& what, int64_t text, int64_t head, int64_t padded, Room& room) {
    const float* key = what.key.first + text * what.key.text + head * what.key.head;
    const float* value = what.value.first + text * what.value.text + head * what.value.head;
    for (size_t s = 0; s < room.real.size(); s++) {
        const float* from = key + room.real[s] * what.key.token;
        for (int64_t i = 0; i < what.width; i++) room.keys[i * padded + s] = from[i];
        std::memcpy(room.values.data() + s * what.width, value + room.real[s] * what.value.token, what.width * sizeof(float));
    }
}

inline void one_head(const Attention& what, int64_t text, int64_t head, Room& room) {
    const int64_t count = room.real.size(), slots = padded(count);
    const float* query = what.query.first + text * what.query.text + head * what.query.head;
    float* to = what.to + (text * what.queries * what.heads + head) * what.width;
    const int64_t apart = what.heads * what.width;
    gather(what, text, head / what.group, slots, room);
    int64_t t = 0;
    for (; t + QUERIES <= what.queries; t += QUERIES)
        some_queries<QUERIES>(what, query + t * what.query.token, count, slots, room, to + t * apart);
    for (; t + 2 <= what.queries; t += 2)
        some_queries<2>(what, query + t * what.query.token, count, slots, room, to + t * apart);
    if (t < what.queries) some_queries<1>(what, query + t * what.query.token, count, slots, room, to + t * apart);
}

// The part of one of several threads: some heads of some texts.
inline void attend(const Attention& what, int64_t thread, int64_t threads) {
    static thread_local Room room;
    const int64_t count = what.texts * what.heads;
    int64_t known = -1;
    for (int64_t one = count * thread / threads; one < count * (thread + 1) / threads; one++) {
        const int64_t text = one / what.heads;
        if (text != known) {
            known = text;
            room.real.clear();
            for (int64_t s = 0; s < what.keys; s++)
                if (!what.seen || what.seen[text * what.keys + s]) room.real.push_back(s);
            room.make(what, padded(room.real.size()));
        }
        one_head(what, text, one % what.heads, room);
    }
}

}  // namespace attention
