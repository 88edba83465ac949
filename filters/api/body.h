#ifndef REMORA_FILTERS_API_BODY_H_
#define REMORA_FILTERS_API_BODY_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace remora {

// A run of bytes kept as a chain of slices of shared blocks. The same type is a connection's read
// buffer, a message's body and a connection's write queue, so that a byte read from one socket is
// written to the other without being copied in between.
//
// Blocks and slice nodes come from free lists of the calling thread: no heap allocation after
// warm-up. Threads: a Body, and every Body that ever shared a block with it, belongs to one thread.
class Body {
 public:
  // Payload bytes of a pooled block. One block holds a full TLS record.
  static constexpr size_t kBlockSize = 16 * 1024 + 512;
  // Slices up to this size are copied into the tail when it has room instead of being shared, so
  // that many tiny pieces cannot pin a block each.
  static constexpr size_t kCopyLimit = 1024;

  Body() = default;
  Body(Body&& other) noexcept { Swap(other); }
  Body& operator=(Body&& other) noexcept {
    if (this != &other) {
      Clear();
      Swap(other);
    }
    return *this;
  }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  ~Body() { Clear(); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Append(absl::string_view bytes);  // copies
  // Takes all of `other`, which is left empty.
  void Append(Body& other);
  // Takes the first `count` bytes of `other` (all when it has fewer).
  void Append(Body& other, size_t count);
  // Adds bytes that outlive this Body (string literals, configuration pinned by the exchange).
  void AppendStatic(absl::string_view bytes);
  // A second reference to the bytes of `other`, which keeps them (retries, mirrors).
  void AppendShared(const Body& other);
  void Prepend(absl::string_view bytes);  // copies

  // The first contiguous run; empty only when the Body is.
  absl::string_view front() const;
  // Drops the first `count` bytes. Requires count <= size().
  void Consume(size_t count);
  void Clear();
  void Swap(Body& other) noexcept;

  // Makes the first `count` bytes contiguous (copying where they are not) and returns them.
  // Requires count <= size().
  absl::string_view Linearize(size_t count);

  // Room to write into at the tail: at least 1 byte, usually a whole block. Commit() says how many
  // bytes were written. Nothing else may be called in between. Bytes not committed are given back.
  struct Room {
    char* data;
    size_t size;
  };
  Room Reserve(size_t wish = kBlockSize);
  void Commit(size_t written);
  // As Reserve, but the room is at least `size` bytes in one piece.
  Room ReserveWhole(size_t size);
  // A second reference to `bytes`, which lie within the first run of `other` (what front() gave).
  void AppendSharedRun(const Body& other, absl::string_view bytes);

  // Up to `most` iovecs of at most `bytes` bytes in all, from the front; for writev().
  size_t FillIovecs(iovec* out, size_t most, size_t bytes = SIZE_MAX) const;
  // Room for a readv() of about `bytes` bytes in `most` iovecs; CommitIovecs() takes what arrived.
  size_t ReserveIovecs(iovec* out, size_t most, size_t bytes);
  void CommitIovecs(size_t written);

  void CopyTo(char* out, size_t count) const;
  std::string ToString() const;

  // Calls fn(absl::string_view) for each contiguous run in order.
  template <typename Fn>
  void ForEachRun(Fn&& fn) const {
    for (const Node* node = head_; node != nullptr; node = node->next) {
      if (node->begin != node->end) fn(absl::string_view(node->begin, node->end - node->begin));
    }
  }

 private:
  // A block's bytes up to `used` have been given to some slice and never change again.
  struct Block {
    uint32_t refs;
    uint32_t capacity;
    uint32_t used;
    uint32_t pooled;
    char* data() { return reinterpret_cast<char*>(this + 1); }
  };
  struct Node {
    Node* next;
    Block* block;  // null: static bytes
    char* begin;
    char* end;
  };
  struct Pools;

  static Block* NewBlock(size_t capacity);
  static void Unref(Block* block);
  static Node* NewNode(Block* block, char* begin, char* end);
  static void FreeNode(Node* node);

  void PushBack(Node* node);
  size_t TailRoom() const;
  bool CopyIntoTail(const char* data, size_t size);
  void TakeNode(Node* node);
  void DropEmptyTail();

  Node* head_ = nullptr;
  Node* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_BODY_H_
