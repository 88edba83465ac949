#ifndef REMORA_FILTERS_API_ARENA_H_
#define REMORA_FILTERS_API_ARENA_H_

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/strings/string_view.h"

namespace remora {

// Bump allocator for what lives exactly as long as one exchange: header text, parsed fields, small
// objects. Memory comes in chunks from a free list of the calling thread, so that after warm-up an
// exchange touches the heap only when it needs more than kChunkSize bytes at once.
//
// Threads: an Arena and everything in it belongs to one thread.
// Lifetime: what it hands out is valid until Reset() or destruction; no destructor is ever run.
class Arena {
 public:
  static constexpr size_t kChunkSize = 4096;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { Reset(); }

  void* Allocate(size_t size, size_t align = alignof(std::max_align_t)) {
    const size_t start = (used_ + align - 1) & ~(align - 1);
    if (start + size <= limit_) {
      used_ = start + size;
      return base_ + start;
    }
    return AllocateSlow(size, align);
  }

  char* AllocateChars(size_t size) { return static_cast<char*>(Allocate(size, 1)); }

  // A copy of `text` that lives in the arena.
  absl::string_view Copy(absl::string_view text);

  // `a` followed by `b` followed by `c`, in the arena.
  absl::string_view Concat(absl::string_view a, absl::string_view b, absl::string_view c = {});

  template <typename T, typename... Args>
  T* New(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>, "the arena runs no destructors");
    return new (Allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  template <typename T>
  T* NewArray(size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && std::is_trivially_copyable_v<T>);
    return static_cast<T*>(Allocate(sizeof(T) * count, alignof(T)));
  }

  // Gives all memory back; everything handed out is dead.
  void Reset();

  // Bytes taken from the thread's free list or the heap.
  size_t footprint() const { return footprint_; }

 private:
  struct Chunk {
    Chunk* next;
    size_t size;
  };

  void* AllocateSlow(size_t size, size_t align);

  char* base_ = nullptr;
  size_t used_ = 0;
  size_t limit_ = 0;
  size_t footprint_ = 0;
  Chunk* chunks_ = nullptr;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_ARENA_H_
