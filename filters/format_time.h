#ifndef REMORA_FILTERS_FORMAT_TIME_H_
#define REMORA_FILTERS_FORMAT_TIME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace remora {

// A strftime format with Envoy's additions: %s seconds since the epoch, %1f to %9f that many digits
// of the second's fraction, %f nine of them. Empty: "%Y-%m-%dT%H:%M:%S.%3fZ" (local time: with the
// zone's offset instead of the Z).
//
// Threads: const, shared.
class TimeFormat {
 public:
  TimeFormat() = default;
  static absl::StatusOr<TimeFormat> Parse(absl::string_view format, bool local);

  // `system_ns`: wall clock, nanoseconds since the epoch.
  void Append(int64_t system_ns, std::string* out) const;

 private:
  struct Piece {
    std::string format;  // for strftime; empty: a fraction or the epoch's seconds
    int digits = 0;      // of the fraction; 0: seconds since the epoch
  };
  std::vector<Piece> pieces_;
  bool local_ = false;
};

}  // namespace remora

#endif  // REMORA_FILTERS_FORMAT_TIME_H_
