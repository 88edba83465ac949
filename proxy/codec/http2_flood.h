#ifndef REMORA_PROXY_CODEC_HTTP2_FLOOD_H_
#define REMORA_PROXY_CODEC_HTTP2_FLOOD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// Counts what a peer can make this side do for next to nothing, by Envoy's rules and numbers: empty
// frames, PRIORITY and WINDOW_UPDATE frames that come in, frames that wait to go out because the
// peer does not read, requests that are reset as soon as they were made.
class Http2FloodGuard {
 public:
  explicit Http2FloodGuard(const Http2Options& options);

  // Each returns the code detail of the limit that was passed, or "".
  absl::string_view OnEmptyFrame();
  void OnFilledFrame() { empty_frames_ = 0; }
  absl::string_view OnPriority();
  absl::string_view OnWindowUpdate();
  void OnHeaderBlock() { ++header_blocks_; }

  // A frame of `size` bytes was appended to the output. Control frames: all but DATA and HEADERS.
  enum class FrameKind : uint8_t { kData, kHeaders, kControl };
  void OnFrameSent(size_t size, FrameKind kind);
  // `unsent` bytes of the output are left; `queued` frames more have not been put there.
  absl::string_view CheckOutbound(size_t unsent, size_t queued);

  // A request's stream ended; `premature`: by a reset, within a second, before any response.
  absl::string_view OnRequestEnded(bool premature);

 private:
  // Frames still in the output, known to a sixteenth of the cap: marks say at which byte of all
  // that was ever sent each batch ended.
  class Ledger {
   public:
    explicit Ledger(uint32_t cap) : batch_(cap / kMarks + 1) {}
    void Add(uint64_t end);
    uint32_t Pending(uint64_t written);

   private:
    static constexpr uint32_t kMarks = 16;
    struct Mark {
      uint64_t end = 0;
      uint32_t count = 0;
    };
    uint32_t batch_;
    uint32_t pending_ = 0;
    uint32_t first_ = 0;
    uint32_t used_ = 0;
    Mark marks_[kMarks + 2];
  };

  const Http2Options options_;
  uint32_t empty_frames_ = 0;
  uint64_t priorities_ = 0;
  uint64_t window_updates_ = 0;
  uint64_t header_blocks_ = 0;
  uint64_t data_frames_sent_ = 0;
  uint64_t sent_bytes_ = 0;
  Ledger all_;
  Ledger control_;
  uint64_t requests_ended_ = 0;
  uint64_t premature_resets_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_FLOOD_H_
