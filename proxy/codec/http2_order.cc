#include "proxy/codec/http2_order.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

namespace remora::proxy {
namespace {

constexpr uint32_t kIdMask = 0x7fffffff;

uint32_t Uint32At(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

size_t LengthOf(const char* head) { return Uint32At(head) >> 8; }
uint8_t TypeOf(const char* head) { return static_cast<uint8_t>(head[3]); }
bool Ends(const char* head) { return (head[4] & NGHTTP2_FLAG_END_STREAM) != 0; }
uint32_t StreamOf(const char* head) { return Uint32At(head + 5) & kIdMask; }

}  // namespace

Http2OrderGuard::Http2OrderGuard() : skip_(NGHTTP2_CLIENT_MAGIC_LEN) {}

bool Http2OrderGuard::HasEnded(uint32_t id) const {
  return std::find(ended_, ended_ + kRemembered, id) != ended_ + kRemembered;
}

uint32_t Http2OrderGuard::JudgeHeaders(uint32_t id) {
  if (id > last_opened_) {
    if (id > last_opened_ + 2) {
      gap_begin_ = last_opened_;
      gap_end_ = id;
    }
    last_opened_ = id;
    return 0;
  }
  return id > gap_begin_ && id < gap_end_ ? NGHTTP2_PROTOCOL_ERROR : 0;
}

uint32_t Http2OrderGuard::Judge() {
  const uint32_t id = StreamOf(head_);
  const uint8_t type = TypeOf(head_);
  if (type == NGHTTP2_PRIORITY) {
    const bool itself = gathered_ > kHead && id == (Uint32At(head_ + kHead) & kIdMask);
    return id == 0 || itself ? NGHTTP2_PROTOCOL_ERROR : 0;
  }
  // Faults that have no stream are nghttp2's to find.
  if (id == 0) return 0;
  bool ends = type == NGHTTP2_RST_STREAM && id <= last_opened_;
  if (type == NGHTTP2_DATA || type == NGHTTP2_HEADERS) {
    if (HasEnded(id)) return NGHTTP2_STREAM_CLOSED;
    if (type == NGHTTP2_HEADERS) {
      const uint32_t code = JudgeHeaders(id);
      if (code != 0) return code;
    }
    ends = Ends(head_);
  }
  if (ends && !HasEnded(id)) ended_[next_ended_++ % kRemembered] = id;
  return 0;
}

size_t Http2OrderGuard::Take(absl::string_view bytes) {
  size_t at = 0;
  size_t frame = 0;  // where the one that is being read began, if among `bytes`
  while (true) {
    const size_t skipped = std::min(skip_, bytes.size() - at);
    skip_ -= skipped;
    at += skipped;
    if (at == bytes.size()) return at;
    if (gathered_ == 0) frame = at;
    size_t wanted = kHead;
    if (gathered_ >= kHead) wanted += kDependency;
    const size_t taken = std::min(wanted - gathered_, bytes.size() - at);
    std::memcpy(head_ + gathered_, bytes.data() + at, taken);
    gathered_ += taken;
    at += taken;
    if (gathered_ < wanted) return at;
    const size_t length = LengthOf(head_);
    const bool depends = TypeOf(head_) == NGHTTP2_PRIORITY && length >= kDependency;
    if (depends && gathered_ == kHead) continue;
    code_ = Judge();
    if (code_ != 0) return frame;
    skip_ = length - (gathered_ - kHead);
    gathered_ = 0;
  }
}

}  // namespace remora::proxy
