#include "proxy/codec/http2_flood.h"

namespace remora::proxy {
namespace {

void Bump(CodecStats* stats, uint64_t CodecStats::* counter) {
  if (stats != nullptr) ++(stats->*counter);
}

}  // namespace

Http2FloodGuard::Http2FloodGuard(const Http2Options& options)
    : options_(options),
      all_(options.max_outbound_frames),
      control_(options.max_outbound_control_frames) {}

absl::string_view Http2FloodGuard::OnEmptyFrame() {
  if (++empty_frames_ <= options_.max_inbound_empty_frames) return {};
  Bump(options_.stats, &CodecStats::inbound_empty_frames_flood);
  return "http2.inbound_empty_frames_flood";
}

absl::string_view Http2FloodGuard::OnPriority() {
  if (++priorities_ <= options_.max_inbound_priority_per_stream * (1 + header_blocks_)) return {};
  Bump(options_.stats, &CodecStats::inbound_priority_frames_flood);
  return "http2.inbound_priority_frames_flood";
}

absl::string_view Http2FloodGuard::OnWindowUpdate() {
  const uint64_t most =
      5 + 2 * (header_blocks_ + options_.max_inbound_window_updates_per_data * data_frames_sent_);
  if (++window_updates_ <= most) return {};
  Bump(options_.stats, &CodecStats::inbound_window_update_frames_flood);
  return "http2.inbound_window_update_frames_flood";
}

void Http2FloodGuard::Ledger::Add(uint64_t end) {
  ++pending_;
  constexpr uint32_t kSlots = kMarks + 2;
  if (used_ != 0) {
    Mark& last = marks_[(first_ + used_ - 1) % kSlots];
    // The last slot takes all that is left: by then the cap is passed in any case.
    if (last.count < batch_ || used_ == kSlots) {
      last.end = end;
      ++last.count;
      return;
    }
  }
  marks_[(first_ + used_++) % kSlots] = {end, 1};
}

uint32_t Http2FloodGuard::Ledger::Pending(uint64_t written) {
  constexpr uint32_t kSlots = kMarks + 2;
  while (used_ != 0 && marks_[first_].end <= written) {
    pending_ -= marks_[first_].count;
    first_ = (first_ + 1) % kSlots;
    --used_;
  }
  return pending_;
}

void Http2FloodGuard::OnFrameSent(size_t size, FrameKind kind) {
  sent_bytes_ += size;
  all_.Add(sent_bytes_);
  if (kind == FrameKind::kData) ++data_frames_sent_;
  if (kind == FrameKind::kControl) control_.Add(sent_bytes_);
}

absl::string_view Http2FloodGuard::CheckOutbound(size_t unsent, size_t queued) {
  const uint64_t written = sent_bytes_ - (unsent < sent_bytes_ ? unsent : sent_bytes_);
  if (control_.Pending(written) > options_.max_outbound_control_frames) {
    Bump(options_.stats, &CodecStats::outbound_control_flood);
    return "http2.outbound_control_frames_flood";
  }
  if (all_.Pending(written) + queued > options_.max_outbound_frames) {
    Bump(options_.stats, &CodecStats::outbound_flood);
    return "http2.outbound_frames_flood";
  }
  return {};
}

// Even if every later request were good, the share of the bad ones must be under one half once the
// limit is reached; so the connection ends as soon as that can no longer be.
absl::string_view Http2FloodGuard::OnRequestEnded(bool premature) {
  ++requests_ended_;
  if (premature) ++premature_resets_;
  const uint64_t limit = options_.premature_reset_limit;
  if (limit == 0) return {};
  const uint64_t most = requests_ended_ < limit ? limit : requests_ended_;
  if (premature_resets_ * 2 < most) return {};
  Bump(options_.stats, &CodecStats::too_many_premature_resets);
  return "http2.too_many_premature_resets";
}

}  // namespace remora::proxy
