#include "filters/api/arena.h"

#include <cstdlib>
#include <cstring>

namespace remora {
namespace {

struct FreeChunk {
  FreeChunk* next;
};

// Keeps at most kMost chunks a thread (8 MiB): enough for thousands of exchanges in flight, given
// back beyond that so that a burst does not stay resident.
class ChunkCache {
 public:
  static constexpr size_t kMost = 2048;

  ~ChunkCache() {
    while (head_ != nullptr) std::free(Pop());
  }

  void* Take() {
    if (head_ == nullptr) return std::malloc(Arena::kChunkSize);
    return Pop();
  }

  void Give(void* memory) {
    if (count_ >= kMost) {
      std::free(memory);
      return;
    }
    auto* chunk = static_cast<FreeChunk*>(memory);
    chunk->next = head_;
    head_ = chunk;
    ++count_;
  }

 private:
  void* Pop() {
    FreeChunk* chunk = head_;
    head_ = chunk->next;
    --count_;
    return chunk;
  }

  FreeChunk* head_ = nullptr;
  size_t count_ = 0;
};

thread_local ChunkCache chunk_cache;

}  // namespace

void* Arena::AllocateSlow(size_t size, size_t align) {
  const size_t need = sizeof(Chunk) + size + align;
  const bool shared = need <= kChunkSize;
  const size_t total = shared ? kChunkSize : need;
  auto* chunk = static_cast<Chunk*>(shared ? chunk_cache.Take() : std::malloc(total));
  chunk->size = total;
  chunk->next = chunks_;
  chunks_ = chunk;
  footprint_ += total;
  char* memory = reinterpret_cast<char*>(chunk);
  if (!shared) {
    // An oversized request gets memory of its own; the current chunk goes on being filled.
    const size_t at = (sizeof(Chunk) + align - 1) & ~(align - 1);
    return memory + at;
  }
  base_ = memory;
  limit_ = total;
  used_ = (sizeof(Chunk) + align - 1) & ~(align - 1);
  void* result = base_ + used_;
  used_ += size;
  return result;
}

absl::string_view Arena::Copy(absl::string_view text) {
  if (text.empty()) return {};
  char* copy = AllocateChars(text.size());
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

absl::string_view Arena::Concat(absl::string_view a, absl::string_view b, absl::string_view c) {
  const size_t size = a.size() + b.size() + c.size();
  if (size == 0) return {};
  char* copy = AllocateChars(size);
  char* at = copy;
  for (absl::string_view part : {a, b, c}) {
    if (part.empty()) continue;
    std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {copy, size};
}

void Arena::Reset() {
  while (chunks_ != nullptr) {
    Chunk* chunk = chunks_;
    chunks_ = chunk->next;
    if (chunk->size == kChunkSize) {
      chunk_cache.Give(chunk);
    } else {
      std::free(chunk);
    }
  }
  base_ = nullptr;
  used_ = limit_ = footprint_ = 0;
}

}  // namespace remora
