// The tape of one row's step (see step.py), run by a few threads that stay awake while it lasts.
//
// Every thread goes through all operations in the same order, does its part of each, and waits for the others. There
// is nothing to allocate and nobody to ask: what is left is reading each matrix once, at the speed of the memory.
//
// Shapes: I inputs, O outputs, K key heads, G queries that share one, D head width, S keys in sight, C slots.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "attention.h"
#include "low_rank.h"
#include "quantized.h"

namespace {

enum Kind { PRODUCT, ROOT_MEAN_SQUARE, LAYER, TURN, ATTEND, RECALL, ACTIVATE, QUANTIZED, FEED, MIX };

struct Near {  // what layers of one kind look at, and how queries and keys are turned
    int64_t at, begin, count;
    const float *cosine, *sine, *bias;  // 2 D/2; K G S or nothing
};

struct Held {  // keys or values of one layer, by strides
    float* first;
    int64_t head, slot, count;
};

struct Op {
    int64_t kind, rows, columns, detail;  // detail: added to `to`? activation? G?
    const float *matrix, *bias, *x, *y;
    float* to;
    double number;
    Near* near;
    Held *keys, *values;
    const quantized::Products* products;
    const quantized::Feed* feed;
    const attention::Attention* mix;
};

struct Follow {  // how what is near changes from step to step
    Near* near;
    int64_t window, apart;  // tokens before the newest one that are seen, or -1; numbers of each position's rotation
};

struct Best {
    float most, sum;  // of all exp(score - most)
    int64_t at;
};

// The likeliest tokens, each read as soon as it is chosen.
struct Choice {
    const Follow* follows;
    int64_t kinds, at;  // position of the first token that is read
    const float* table;  // V W, or of eight bits
    const quantized::Matrix* few;
    float *stream, *asked;
    const float* state;
    int64_t width;
    double scale;
    const Op* head;
    float* scores;
    int64_t vocabulary;
    const int64_t* stops;
    int64_t stop_count, token, steps, made;
    int64_t* tokens;
    float* logs;
};

struct Tape {
    const Op* ops;
    int64_t count, threads;
    Choice* choice;  // nothing: one step, whose token was read already
};

struct Part {
    int64_t from, to;
};

Part part(int64_t count, int64_t thread, int64_t threads) {
    return {count * thread / threads, count * (thread + 1) / threads};
}

inline void rest() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

float dot(const float* a, const float* b, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

const int BANDS = 4, LANES = 32;  // rows far apart that are read at once; numbers of each summed side by side

// So many rows, each `apart` from the one before, times x.
template <int rows>
void dots(const float* matrix, int64_t apart, const float* x, int64_t n, float* sums) {
    float lanes[rows][LANES] = {{0}};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int row = 0; row < rows; row++)
            for (int lane = 0; lane < LANES; lane++) lanes[row][lane] += matrix[row * apart + i + lane] * x[i + lane];
    for (int row = 0; row < rows; row++) {
        sums[row] = dot(matrix + row * apart + i, x + i, n - i);
        for (int lane = 0; lane < LANES; lane++) sums[row] += lanes[row][lane];
    }
}

// O rows of the matrix times x, in bands: several streams at once, each long, are what the memory is fastest at.
void product(const Op& op, Part mine) {
    const int64_t n = op.columns, band = (mine.to - mine.from) / BANDS;
    auto put = [&](int64_t row, float sum) {
        if (op.bias) sum += op.bias[row];
        op.to[row] = op.detail ? op.to[row] + sum : sum;
    };
    float sums[BANDS];
    for (int64_t row = mine.from; row < mine.from + band; row++) {
        dots<BANDS>(op.matrix + row * n, band * n, op.x, n, sums);
        for (int64_t i = 0; i < BANDS; i++) put(row + i * band, sums[i]);
    }
    for (int64_t row = mine.from + BANDS * band; row < mine.to; row++) {
        dots<1>(op.matrix + row * n, 0, op.x, n, sums);
        put(row, sums[0]);
    }
}

void norm(const Op& op, Part mine) {
    const int64_t n = op.columns;
    for (int64_t row = mine.from; row < mine.to; row++) {
        const float* x = op.x + row * n;
        float* to = op.to + row * n;
        float mean = 0, square = 0;
        if (op.kind == LAYER) {
            for (int64_t i = 0; i < n; i++) mean += x[i];
            mean /= n;
        }
        for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
        const float scale = 1 / std::sqrt(square / n + float(op.number));
        for (int64_t i = 0; i < n; i++)
            to[i] = (x[i] - mean) * scale * (op.matrix ? op.matrix[i] : 1) + (op.bias ? op.bias[i] : 0);
    }
}

void turn(const Op& op, Part mine) {  // rows: heads, columns: D, detail: what is turned of it
    const int64_t half = op.detail / 2;
    const float *cosine = op.near->cosine, *sine = op.near->sine;
    for (int64_t row = mine.from; row < mine.to; row++) {
        float *low = op.to + row * op.columns, *high = low + half;
        for (int64_t i = 0; i < half; i++) {
            const float a = low[i], b = high[i];
            low[i] = a * cosine[i] + b * sine[i];
            high[i] = b * cosine[half + i] + a * sine[half + i];
        }
    }
}

// One query's attention to the keys in sight.
void look(const float* query, const float* keys, const float* values, const Held& key, const Held& value, int64_t count,
          int64_t width, float scale, const float* bias, float* scores, float* to) {
    for (int64_t s = 0; s < count; s++)
        scores[s] = dot(query, keys + s * key.slot, width) * scale + (bias ? bias[s] : 0);
    const float part = attention::shares(scores, count, attention::padded(count));
    int64_t i = 0;
    for (; i + 4 * attention::LANES <= width; i += 4 * attention::LANES)
        attention::mixed<1, 4>(scores, values + i, count, 0, &part, to + i, value.slot, 0);
    for (; i + attention::LANES <= width; i += attention::LANES)
        attention::mixed<1, 1>(scores, values + i, count, 0, &part, to + i, value.slot, 0);
    for (; i < width; i++) {
        float sum = 0;
        for (int64_t s = 0; s < count; s++) sum += scores[s] * values[s * value.slot + i];
        to[i] = sum * part;
    }
}

void attend(const Op& op, Part mine, std::vector<float>& scores) {  // rows: K, columns: D, detail: G
    const int64_t width = op.columns, group = op.detail;
    const Held &keys = *op.keys, &values = *op.values;
    const bool own = op.kind == ATTEND;
    const int64_t begin = own ? op.near->begin : 0, count = own ? op.near->count : keys.count;
    const float* bias = own ? op.near->bias : nullptr;
    if (int64_t(scores.size()) < attention::padded(count)) scores.resize(count + 256);
    for (int64_t head = mine.from; head < mine.to; head++) {
        float *key = keys.first + head * keys.head, *value = values.first + head * values.head;
        if (own) {
            const int64_t at = op.near->at;
            std::memcpy(key + at * keys.slot, op.x + (op.rows * group + head) * width, width * sizeof(float));
            std::memcpy(value + at * values.slot, op.x + (op.rows * (group + 1) + head) * width, width * sizeof(float));
        }
        for (int64_t one = head * group; one < (head + 1) * group; one++)
            look(op.x + one * width, key + begin * keys.slot, value + begin * values.slot, keys, values, count, width,
                 float(op.number), bias ? bias + one * count : nullptr, scores.data(), op.to + one * width);
    }
}

void activate(const Op& op, Part mine) {  // columns: I, in vectors; y is the other side of a gate
    const int64_t from = mine.from * vectors::LANES, until = std::min(mine.to * vectors::LANES, op.columns);
    const int64_t whole = (until - from) / vectors::LANES * vectors::LANES, left = until - from - whole;
    vectors::activate(op.detail, op.x + from, op.y ? op.y + from : nullptr, op.to + from, whole);
    if (left <= 0) return;
    vectors::Floats x = vectors::some(op.x + from + whole, left), y{};
    if (op.y) y = vectors::some(op.y + from + whole, left);
    vectors::activate(op.detail, (float*)&x, op.y ? (float*)&y : nullptr, (float*)&x, vectors::LANES);
    std::memcpy(op.to + from + whole, &x, left * sizeof(float));
}

template <typename Wait>
void run(const Op& op, int64_t thread, int64_t threads, std::vector<float>& scores, Wait wait) {
    switch (op.kind) {
        case PRODUCT: return product(op, part(op.rows, thread, threads));
        case ROOT_MEAN_SQUARE:
        case LAYER: return norm(op, part(op.rows, thread, threads));
        case TURN: return turn(op, part(op.rows, thread, threads));
        case ATTEND:
        case RECALL: return attend(op, part(op.rows, thread, threads), scores);
        case QUANTIZED: return quantized::products(*op.products, thread, threads);
        case FEED: return quantized::feed(*op.feed, thread, threads, wait);
        case MIX: return attention::attend(*op.mix, thread, threads);
        default: return activate(op, part((op.columns + vectors::LANES - 1) / vectors::LANES, thread, threads));
    }
}

// What the step of the newest token begins with.
void begin(Choice& choice) {
    const int64_t token = choice.token, width = choice.width, at = choice.at + choice.made;
    if (choice.few) {
        const quantized::Matrix& few = *choice.few;
        const uint8_t* codes = few.codes + token / quantized::LANES * few.block() + token % quantized::LANES * 4;
        for (int64_t i = 0; i < width; i++)
            choice.stream[i] = (float(codes[i / 4 * quantized::SIZE + i % 4]) - 128) * few.scales[token];
    } else
        std::memcpy(choice.stream, choice.table + token * width, width * sizeof(float));
    for (int64_t i = 0; i < choice.kinds; i++) {
        const Follow& follow = choice.follows[i];
        Near& near = *follow.near;
        if (choice.made) near.cosine += follow.apart, near.sine += follow.apart;
        near.at = at, near.begin = follow.window < 0 ? 0 : std::max<int64_t>(0, at - follow.window);
        near.count = at + 1 - near.begin;
    }
}

Best best(const float* scores, Part mine) {
    Best found{-INFINITY, 0, mine.from};
    for (int64_t i = mine.from; i < mine.to; i++)
        if (scores[i] > found.most) found.most = scores[i], found.at = i;
    if (found.most == -INFINITY) {  // all forbidden, or no numbers
        for (int64_t i = mine.from; i < mine.to; i++) found.sum += scores[i] == -INFINITY ? 0 : NAN;
        return found;
    }
    vectors::Floats sum{};
    for (int64_t i = mine.from; i < mine.to; i += vectors::LANES) {
        const int64_t n = std::min<int64_t>(vectors::LANES, mine.to - i);
        vectors::Floats some = vectors::Floats{} - INFINITY;
        std::memcpy(&some, scores + i, n * sizeof(float));
        sum += vectors::exponential(some - found.most);
    }
    for (int lane = 0; lane < vectors::LANES; lane++) found.sum += sum[lane];
    return found;
}

// Take the best of all; false if it is the last one, or none because scores are no numbers.
bool take(Choice& choice, const std::vector<Best>& all) {
    Best found = all[0];
    for (const Best& one : all)
        if (one.most > found.most) found = one;
    float sum = 0;
    for (const Best& one : all) sum += one.sum * std::exp(one.most - found.most);
    const float log = -std::log(sum);
    if (!(std::abs(log) < INFINITY)) return false;
    choice.token = choice.tokens[choice.made] = found.at, choice.logs[choice.made++] = log;
    return std::find(choice.stops, choice.stops + choice.stop_count, found.at) == choice.stops + choice.stop_count;
}

const int AWAKE = 4000;  // turns of waiting before a thread lets others have its processor

struct Barrier {
    std::atomic<int64_t> arrived{0}, round{0};

    void wait(int64_t threads) {
        const int64_t now = round.load(std::memory_order_acquire);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            arrived.store(0, std::memory_order_relaxed);
            round.fetch_add(1, std::memory_order_release);
            return;
        }
        for (int turns = 0; round.load(std::memory_order_acquire) == now; turns++)
            turns < AWAKE ? rest() : std::this_thread::yield();
    }
};

struct Team {
    std::mutex asleep, taken;
    std::condition_variable bell;
    std::atomic<int64_t> job{0};
    Tape tape{};
    Barrier barrier;
    std::vector<Best> bests;
    bool on = true;
    int64_t size = 1;  // threads, the caller's among them
    const int64_t processors = std::max(1u, std::thread::hardware_concurrency());

    void work(const Tape& now, int64_t thread, std::vector<float>& scores) {
        auto wait = [&] { barrier.wait(now.threads); };
        auto once = [&] {
            for (int64_t i = 0; i < now.count; i++) run(now.ops[i], thread, now.threads, scores, wait), wait();
        };
        if (!now.choice) return once();
        Choice& choice = *now.choice;
        const int64_t steps = choice.steps;  // the caller may ask for the next ones while this thread still leaves
        for (int64_t step = 0; step < steps; step++) {
            if (thread == 0) begin(choice), bests.resize(now.threads);
            wait();
            once();
            if (thread == 0)
                for (int64_t i = 0; i < choice.width; i++) choice.asked[i] = choice.state[i] * float(choice.scale);
            wait();
            run(*choice.head, thread, now.threads, scores, wait);
            wait();
            bests[thread] = best(choice.scores, part(choice.vocabulary, thread, now.threads));
            wait();
            if (thread == 0) on = take(choice, bests);
            wait();
            if (!on) return;
        }
    }

    void member(int64_t thread, int64_t seen) {
        std::vector<float> scores;
        for (;;) {
            for (int turns = 0; job.load(std::memory_order_acquire) == seen && turns < AWAKE; turns++) rest();
            if (job.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> lock(asleep);
                bell.wait(lock, [&] { return job.load(std::memory_order_acquire) != seen; });
            }
            Tape now;
            {
                std::lock_guard<std::mutex> lock(asleep);  // a thread that has no part may be late, and meet the next
                seen = job.load(std::memory_order_relaxed);
                now = tape;
            }
            if (thread < now.threads) work(now, thread, scores);
        }
    }

    void go(const Tape& what) {
        std::lock_guard<std::mutex> turn(taken);  // of several callers, one at a time
        static thread_local std::vector<float> scores;
        Tape now = what;
        now.threads = gathered(what.threads);
        if (now.threads > 1) {
            {
                std::lock_guard<std::mutex> lock(asleep);
                tape = now;
                job.fetch_add(1, std::memory_order_release);
            }
            bell.notify_all();
        }
        work(now, 0, scores);
    }

    // As many as there are processors for, where a thread that waits would keep another from working, and as many as the
    // system gives.
    int64_t gathered(int64_t wanted) {
        wanted = std::min(wanted, processors);
        try {
            for (; size < wanted; size++) std::thread(&Team::member, this, size, job.load()).detach();
        } catch (const std::system_error&) {
        }
        return std::min(size, wanted);
    }
};

}  // namespace

extern "C" {
void* new_team() { return new Team(); }
void run_tape(void* team, const Tape* tape) { static_cast<Team*>(team)->go(*tape); }
int64_t size_of_op() { return sizeof(Op); }

// One operation outside of a step, between operations of torch: by its own threads where they are OpenMP's, since those
// stay awake for a while and would keep others from the processors.
void run_alone(void* team, const Op* op, int64_t threads) {
#if defined(_OPENMP)
    (void)team;
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<float> scores;
        run(*op, omp_get_thread_num(), omp_get_num_threads(), scores, [] {
#pragma omp barrier
        });
    }
#else
    static_cast<Team*>(team)->go({op, 1, threads, nullptr});
#endif
}
}
