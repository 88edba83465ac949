#include "filters/api/body.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace remora {

// Free lists of this thread. A block parked here uses its first bytes as the link.
struct Body::Pools {
  static constexpr size_t kMostBlocks = 1024;  // 17 MiB
  static constexpr size_t kMostNodes = 65536;

  ~Pools() {
    while (blocks != nullptr) {
      void* next = *reinterpret_cast<void**>(static_cast<Block*>(blocks)->data());
      std::free(blocks);
      blocks = next;
    }
    while (nodes != nullptr) {
      Node* next = nodes->next;
      std::free(nodes);
      nodes = next;
    }
  }

  static Pools& Local() {
    thread_local Pools pools;
    return pools;
  }

  void* blocks = nullptr;
  size_t block_count = 0;
  Node* nodes = nullptr;
  size_t node_count = 0;
};

Body::Block* Body::NewBlock(size_t capacity) {
  Pools& pools = Pools::Local();
  Block* block = nullptr;
  const bool pooled = capacity <= kBlockSize;
  if (pooled) capacity = kBlockSize;
  if (pooled && pools.blocks != nullptr) {
    block = static_cast<Block*>(pools.blocks);
    pools.blocks = *reinterpret_cast<void**>(block->data());
    --pools.block_count;
  } else {
    block = static_cast<Block*>(std::malloc(sizeof(Block) + capacity));
  }
  block->refs = 1;
  block->capacity = static_cast<uint32_t>(capacity);
  block->used = 0;
  block->pooled = pooled;
  return block;
}

void Body::Unref(Block* block) {
  if (block == nullptr || --block->refs > 0) return;
  Pools& pools = Pools::Local();
  if (!block->pooled || pools.block_count >= Pools::kMostBlocks) {
    std::free(block);
    return;
  }
  *reinterpret_cast<void**>(block->data()) = pools.blocks;
  pools.blocks = block;
  ++pools.block_count;
}

Body::Node* Body::NewNode(Block* block, char* begin, char* end) {
  Pools& pools = Pools::Local();
  Node* node = pools.nodes;
  if (node != nullptr) {
    pools.nodes = node->next;
    --pools.node_count;
  } else {
    node = static_cast<Node*>(std::malloc(sizeof(Node)));
  }
  node->next = nullptr;
  node->block = block;
  node->begin = begin;
  node->end = end;
  return node;
}

void Body::FreeNode(Node* node) {
  Unref(node->block);
  Pools& pools = Pools::Local();
  if (pools.node_count >= Pools::kMostNodes) {
    std::free(node);
    return;
  }
  node->next = pools.nodes;
  pools.nodes = node;
  ++pools.node_count;
}

void Body::PushBack(Node* node) {
  if (tail_ == nullptr) {
    head_ = node;
  } else {
    tail_->next = node;
  }
  tail_ = node;
}

size_t Body::TailRoom() const {
  if (tail_ == nullptr || tail_->block == nullptr) return 0;
  Block* block = tail_->block;
  if (tail_->end != block->data() + block->used) return 0;
  return block->capacity - block->used;
}

bool Body::CopyIntoTail(const char* data, size_t size) {
  if (TailRoom() < size) return false;
  std::memcpy(tail_->end, data, size);
  tail_->end += size;
  tail_->block->used += static_cast<uint32_t>(size);
  size_ += size;
  return true;
}

void Body::Append(absl::string_view bytes) {
  while (!bytes.empty()) {
    size_t room = TailRoom();
    if (room == 0) {
      Block* block = NewBlock(kBlockSize);
      PushBack(NewNode(block, block->data(), block->data()));
      room = block->capacity;
    }
    const size_t part = std::min(room, bytes.size());
    CopyIntoTail(bytes.data(), part);
    bytes.remove_prefix(part);
  }
}

void Body::TakeNode(Node* node) {
  const size_t size = node->end - node->begin;
  node->next = nullptr;
  if (size <= kCopyLimit && CopyIntoTail(node->begin, size)) {
    FreeNode(node);
    return;
  }
  PushBack(node);
  size_ += size;
}

void Body::Append(Body& other) {
  if (&other == this || other.head_ == nullptr) return;
  if (head_ == nullptr) {
    Swap(other);
    return;
  }
  Node* node = other.head_;
  other.head_ = other.tail_ = nullptr;
  other.size_ = 0;
  while (node != nullptr) {
    Node* next = node->next;
    TakeNode(node);
    node = next;
  }
}

void Body::Append(Body& other, size_t count) {
  if (count >= other.size_) {
    Append(other);
    return;
  }
  while (count > 0) {
    Node* node = other.head_;
    const size_t size = node->end - node->begin;
    if (size <= count) {
      other.head_ = node->next;
      if (other.head_ == nullptr) other.tail_ = nullptr;
      other.size_ -= size;
      TakeNode(node);
      count -= size;
      continue;
    }
    if (count > kCopyLimit || !CopyIntoTail(node->begin, count)) {
      if (node->block != nullptr) ++node->block->refs;
      PushBack(NewNode(node->block, node->begin, node->begin + count));
      size_ += count;
    }
    node->begin += count;
    other.size_ -= count;
    return;
  }
}

void Body::AppendStatic(absl::string_view bytes) {
  if (bytes.empty()) return;
  // Static bytes are never written to: the node has no block, so nothing appends into it.
  char* data = const_cast<char*>(bytes.data());
  PushBack(NewNode(nullptr, data, data + bytes.size()));
  size_ += bytes.size();
}

void Body::AppendShared(const Body& other) {
  for (const Node* node = other.head_; node != nullptr; node = node->next) {
    const size_t size = node->end - node->begin;
    if (size == 0 || (size <= kCopyLimit && CopyIntoTail(node->begin, size))) continue;
    if (node->block != nullptr) ++node->block->refs;
    PushBack(NewNode(node->block, node->begin, node->end));
    size_ += size;
  }
}

void Body::Prepend(absl::string_view bytes) {
  if (bytes.empty()) return;
  Body front;
  front.Append(bytes);
  front.Append(*this);
  Swap(front);
}

absl::string_view Body::front() const {
  for (const Node* node = head_; node != nullptr; node = node->next) {
    if (node->begin != node->end)
      return {node->begin, static_cast<size_t>(node->end - node->begin)};
  }
  return {};
}

void Body::Consume(size_t count) {
  size_ -= count;
  while (head_ != nullptr) {
    const size_t size = head_->end - head_->begin;
    if (size > count) {
      head_->begin += count;
      return;
    }
    count -= size;
    Node* node = head_;
    head_ = node->next;
    if (head_ == nullptr) tail_ = nullptr;
    FreeNode(node);
  }
}

void Body::Clear() {
  while (head_ != nullptr) {
    Node* node = head_;
    head_ = node->next;
    FreeNode(node);
  }
  tail_ = nullptr;
  size_ = 0;
}

void Body::Swap(Body& other) noexcept {
  std::swap(head_, other.head_);
  std::swap(tail_, other.tail_);
  std::swap(size_, other.size_);
}

absl::string_view Body::Linearize(size_t count) {
  if (count == 0) return {};
  const absl::string_view first = front();
  if (first.size() >= count) return first.substr(0, count);
  Block* block = NewBlock(count);
  CopyTo(block->data(), count);
  Consume(count);
  block->used = static_cast<uint32_t>(count);
  Node* node = NewNode(block, block->data(), block->data() + count);
  node->next = head_;
  head_ = node;
  if (tail_ == nullptr) tail_ = node;
  size_ += count;
  return {node->begin, count};
}

Body::Room Body::Reserve(size_t wish) {
  if (TailRoom() < std::min(wish, kCopyLimit)) {
    Block* block = NewBlock(wish);
    PushBack(NewNode(block, block->data(), block->data()));
  }
  return {tail_->end, TailRoom()};
}

Body::Room Body::ReserveWhole(size_t size) {
  if (TailRoom() < size) {
    Block* block = NewBlock(size);
    PushBack(NewNode(block, block->data(), block->data()));
  }
  return {tail_->end, TailRoom()};
}

void Body::AppendSharedRun(const Body& other, absl::string_view bytes) {
  if (bytes.empty() || (bytes.size() <= kCopyLimit && CopyIntoTail(bytes.data(), bytes.size()))) {
    return;
  }
  const Node* node = other.head_;
  while (node->begin == node->end) node = node->next;
  if (node->block != nullptr) ++node->block->refs;
  char* begin = const_cast<char*>(bytes.data());
  PushBack(NewNode(node->block, begin, begin + bytes.size()));
  size_ += bytes.size();
}

void Body::Commit(size_t written) {
  tail_->end += written;
  tail_->block->used += static_cast<uint32_t>(written);
  size_ += written;
  DropEmptyTail();
}

void Body::DropEmptyTail() {
  if (tail_ == nullptr || tail_->begin != tail_->end) return;
  if (head_ == tail_) {
    FreeNode(head_);
    head_ = tail_ = nullptr;
    return;
  }
  Node* before = head_;
  while (before->next != tail_) before = before->next;
  FreeNode(tail_);
  before->next = nullptr;
  tail_ = before;
}

size_t Body::FillIovecs(iovec* out, size_t most, size_t bytes) const {
  size_t count = 0;
  for (const Node* node = head_; node != nullptr && count < most && bytes > 0; node = node->next) {
    const size_t size = std::min<size_t>(node->end - node->begin, bytes);
    if (size == 0) continue;
    out[count++] = {node->begin, size};
    bytes -= size;
  }
  return count;
}

size_t Body::ReserveIovecs(iovec* out, size_t most, size_t bytes) {
  size_t count = 0;
  size_t room = TailRoom();
  if (room >= kCopyLimit) {
    out[count++] = {tail_->end, room};
  } else {
    room = 0;
  }
  while (count < most && room < bytes) {
    Block* block = NewBlock(kBlockSize);
    PushBack(NewNode(block, block->data(), block->data()));
    out[count++] = {block->data(), block->capacity};
    room += block->capacity;
  }
  return count;
}

void Body::CommitIovecs(size_t written) {
  // The first node with room that was offered is the last one holding bytes, or the first empty
  // one.
  Node* last_kept = nullptr;
  Node* node = head_;
  while (node != nullptr) {
    const bool empty = node->begin == node->end;
    const bool open =
        node->block != nullptr && node->end == node->block->data() + node->block->used;
    const bool offered = empty || (node->next == nullptr || node->next->begin == node->next->end);
    if (written > 0 && open && offered) {
      const size_t room = node->block->capacity - node->block->used;
      if (empty || room >= kCopyLimit) {
        const size_t part = std::min(room, written);
        node->end += part;
        node->block->used += static_cast<uint32_t>(part);
        size_ += part;
        written -= part;
      }
    }
    if (node->begin == node->end) break;
    last_kept = node;
    node = node->next;
  }
  while (node != nullptr) {
    Node* next = node->next;
    FreeNode(node);
    node = next;
  }
  tail_ = last_kept;
  if (last_kept == nullptr) {
    head_ = nullptr;
  } else {
    last_kept->next = nullptr;
  }
}

void Body::CopyTo(char* out, size_t count) const {
  for (const Node* node = head_; node != nullptr && count > 0; node = node->next) {
    const size_t part = std::min<size_t>(node->end - node->begin, count);
    std::memcpy(out, node->begin, part);
    out += part;
    count -= part;
  }
}

std::string Body::ToString() const {
  std::string text(size_, '\0');
  CopyTo(text.data(), size_);
  return text;
}

}  // namespace remora
