// Where a CPU's tensors lie while a network is trained: large blocks in a region of addresses of their own.
//
// A step frees hundreds of megabytes and the next one asks for them again, in other sizes. Among all that a process
// holds for long the C library leaves holes between them, a third of what it has; here the smallest block that fits is
// taken and free neighbours become one, so that less memory is needed and it is in the cache more often.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace {

const size_t LARGE = size_t(1) << 16, ALIGNED = 64, PAGE = sysconf(_SC_PAGESIZE);  // bytes

class Arena {
   public:
    // Reserves addresses, not memory; false: the system does not give them.
    bool begin(size_t bytes) {
        void* got = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (got == MAP_FAILED) return false;
        first = end = static_cast<char*>(got);
        limit = first + bytes;
        return true;
    }

    bool holds(const void* block) const { return block >= first && block < limit; }

    // Nothing where there is no room left.
    void* take(size_t bytes) {
        if (bytes > size_t(limit - first)) return nullptr;
        const size_t size = (bytes + PAGE - 1) / PAGE * PAGE;
        const std::lock_guard<std::mutex> held(guard);
        auto best = by_size.lower_bound({size, nullptr});
        char* block;
        if (best != by_size.end()) {
            const size_t left = best->first - size;
            block = best->second;
            close(block);
            if (left) open(block + size, left);
        } else {
            const auto last = by_place.empty() ? by_place.end() : std::prev(by_place.end());
            const bool free_end = last != by_place.end() && last->first + last->second == end;
            block = free_end ? last->first : end;
            if (size > size_t(limit - block)) return nullptr;
            if (free_end) close(block);
            end = block + size;
        }
        taken.emplace(block, size);
        return block;
    }

    void give(void* given) {
        const std::lock_guard<std::mutex> held(guard);
        const auto found = taken.find(given);
        char* block = static_cast<char*>(given);
        size_t size = found->second;
        taken.erase(found);
        if (!going_on) madvise(block, size, MADV_DONTNEED);  // nobody will ask for it soon
        const auto next = by_place.lower_bound(block);
        if (next != by_place.begin()) {
            const auto [place, before] = *std::prev(next);
            if (place + before == block) close(place), block = place, size += before;
        }
        const auto after = by_place.find(block + size);
        if (after != by_place.end()) {
            const size_t more = after->second;
            close(after->first), size += more;
        }
        open(block, size);
    }

    // The memory of what is free goes back to the system, its addresses stay.
    void release() {
        const std::lock_guard<std::mutex> held(guard);
        for (const auto& [place, size] : by_place) madvise(place, size, MADV_DONTNEED);
    }

    size_t used() {
        const std::lock_guard<std::mutex> held(guard);
        size_t sum = 0;
        for (const auto& one : taken) sum += one.second;
        return sum;
    }

    // Whether blocks that are free will be asked for again.
    void keep(bool again) {
        const std::lock_guard<std::mutex> held(guard);
        going_on = again;
    }

    std::mutex guard;

   private:
    void open(char* place, size_t size) { by_place.emplace(place, size), by_size.emplace(size, place); }

    void close(char* place) {
        const auto found = by_place.find(place);
        by_size.erase({found->second, place}), by_place.erase(found);
    }

    bool going_on = false;
    char *first = nullptr, *end = nullptr, *limit = nullptr;  // after `end` nothing was ever taken
    std::map<char*, size_t> by_place;                         // what is free
    std::set<std::pair<size_t, char*>> by_size;
    std::unordered_map<void*, size_t> taken;
};

Arena& arena() {
    static Arena* one = new Arena;  // never destroyed: tensors may outlive everything
    return *one;
}

void let_go(void* block) { arena().holds(block) ? arena().give(block) : std::free(block); }

struct Allocator final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
        void* block = bytes >= LARGE ? arena().take(bytes) : nullptr;
        if (!block && bytes && posix_memalign(&block, ALIGNED, bytes)) TORCH_CHECK(false, "not enough memory: ", bytes, " bytes");
        return {block, block, &let_go, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &let_go; }
    void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }
};

Allocator& allocator() {
    static Allocator* one = new Allocator;
    return *one;
}

}  // namespace

// From now on tensors lie there; 0: so many addresses are not to be had, or somebody else says where tensors lie.
extern "C" int arena_on(size_t bytes) {
    static const bool ready = [&] {
        if (!arena().begin(bytes)) return false;
        pthread_atfork([] { arena().guard.lock(); }, [] { arena().guard.unlock(); }, [] { arena().guard.unlock(); });
        return true;
    }();
    if (!ready || c10::GetCPUAllocator() != c10::GetDefaultCPUAllocator()) return c10::GetCPUAllocator() == &allocator();
    arena().keep(true), c10::SetCPUAllocator(&allocator());
    return 1;
}

// New tensors lie where torch puts them; those that lie here stay.
extern "C" void arena_off() {
    if (c10::GetCPUAllocator() == &allocator()) c10::SetCPUAllocator(c10::GetDefaultCPUAllocator()), arena().keep(false);
}

extern "C" void arena_release() { arena().release(); }

extern "C" size_t arena_used() { return arena().used(); }
