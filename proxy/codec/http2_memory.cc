#include "proxy/codec/http2_memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace remora::proxy {
namespace {

// Classes are powers of two from 32 bytes to 32 KiB (nghttp2's largest buffers are of 16 KiB and a
// little). Each block is preceded by its class.
constexpr int kClasses = 11;
constexpr int kHeapClass = kClasses;
constexpr int kSmallestShift = 5;
constexpr size_t kMostCachedBytes = 8 * 1024 * 1024;

struct alignas(16) Head {
  uint32_t size_class;
  uint32_t size;  // for the heap's own
};

size_t ClassSize(int size_class) { return size_t{1} << (size_class + kSmallestShift); }

int ClassOf(size_t size) {
  if (size <= ClassSize(0)) return 0;
  const int shift = 64 - __builtin_clzll(size - 1);
  return shift - kSmallestShift < kClasses ? shift - kSmallestShift : kHeapClass;
}

class Cache {
 public:
  ~Cache() {
    for (Free*& list : lists_) {
      while (list != nullptr) {
        Free* next = list->next;
        std::free(reinterpret_cast<Head*>(list) - 1);
        list = next;
      }
    }
  }

  void* Take(size_t size) {
    const int size_class = ClassOf(size);
    if (size_class != kHeapClass && lists_[size_class] != nullptr) {
      Free* block = lists_[size_class];
      lists_[size_class] = block->next;
      cached_ -= ClassSize(size_class);
      return block;
    }
    const size_t capacity = size_class == kHeapClass ? size : ClassSize(size_class);
    auto* head = static_cast<Head*>(std::malloc(sizeof(Head) + capacity));
    if (head == nullptr) return nullptr;
    head->size_class = static_cast<uint32_t>(size_class);
    head->size = static_cast<uint32_t>(capacity);
    return head + 1;
  }

  void Give(void* memory) {
    if (memory == nullptr) return;
    Head* head = static_cast<Head*>(memory) - 1;
    const int size_class = static_cast<int>(head->size_class);
    if (size_class == kHeapClass || cached_ + ClassSize(size_class) > kMostCachedBytes) {
      std::free(head);
      return;
    }
    auto* block = static_cast<Free*>(memory);
    block->next = lists_[size_class];
    lists_[size_class] = block;
    cached_ += ClassSize(size_class);
  }

  static size_t Capacity(void* memory) { return (static_cast<Head*>(memory) - 1)->size; }

 private:
  struct Free {
    Free* next;
  };
  Free* lists_[kClasses] = {};
  size_t cached_ = 0;
};

Cache& LocalCache() {
  thread_local Cache cache;
  return cache;
}

void* Malloc(size_t size, void* /*user*/) { return LocalCache().Take(size); }

void Free(void* memory, void* /*user*/) { LocalCache().Give(memory); }

void* Calloc(size_t count, size_t size, void* /*user*/) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  void* memory = LocalCache().Take(bytes);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

void* Realloc(void* memory, size_t size, void* /*user*/) {
  Cache& cache = LocalCache();
  if (memory == nullptr) return cache.Take(size);
  const size_t capacity = Cache::Capacity(memory);
  if (size <= capacity) return memory;
  void* grown = cache.Take(size);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown, memory, capacity);
  cache.Give(memory);
  return grown;
}

nghttp2_mem memory_functions = {nullptr, Malloc, Free, Calloc, Realloc};

}  // namespace

nghttp2_mem* PooledHttp2Memory() { return &memory_functions; }

}  // namespace remora::proxy
