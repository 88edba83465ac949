#ifndef REMORA_PROXY_STREAM_RETRY_H_
#define REMORA_PROXY_STREAM_RETRY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "health/admission.h"
#include "health/backoff.h"
#include "lb/policy.h"
#include "proxy/stream/attempt_failure.h"
#include "xds/retry_policy.h"

namespace remora::proxy {

// Whether, and when, a request is tried again: the route's retry policy with what the request's own
// x-envoy-retry-* headers ask for, the budget of tries, and the hosts that were tried. Knows no
// timer and no socket.
//
// Threads: one loop. Lifetime: one exchange; Begin() starts it anew.
class Retry {
 public:
  enum class Verdict : uint8_t {
    kNo,         // this outcome is not one to retry
    kYes,        // after NextDelay()
    kExhausted,  // no tries left
    kOverflow,   // the cluster's limit of concurrent retries
  };

  // Reads `policy` (may be null) and takes the steering headers out of `request`.
  void Begin(const xds::RetryPolicy* policy, Headers& request);
  void Reset();

  // Some outcome would be retried.
  bool enabled() const { return retry_on_ != 0; }

  // A try's answer, judged by its headers.
  Verdict OnAnswer(const Headers& headers, health::Breakers& breakers);
  // A try that ended without one. `sent`: its headers had gone out. `timed_out`: per-try timeout.
  Verdict OnFailure(AttemptFailure failure, bool sent, bool timed_out, health::Breakers& breakers);
  // A try that is late goes on beside the next one (hedging): any policy retries that.
  Verdict OnLate(health::Breakers& breakers);
  // The last verdict's try was itself a retry, and needed no further one.
  bool succeeded() const { return succeeded_; }

  // The wait before the next try; `limited` tells that an answer said when (Retry-After and kin).
  lb::Duration NextDelay(lb::RandomSource& random, bool* limited);
  // The retry under way no longer counts (exchange over, response begun).
  void ReleaseTicket() { ticket_.Release(); }

  // What a further pick must avoid: hosts tried before, canaries, metadata.
  void Tried(const lb::Host* host);
  bool Rejects(const lb::HostEntry& entry) const;
  uint32_t max_reselections() const;

 private:
  static constexpr size_t kMostTried = 16;

  void ReadHeaders(Headers& request);
  bool WantsAnswer(const Headers& headers) const;
  bool WantsFailure(AttemptFailure failure, bool sent, bool timed_out) const;
  Verdict Decide(bool wanted, health::Breakers& breakers);
  void ReadResetHeaders(const Headers& headers);

  const xds::RetryPolicy* policy_ = nullptr;
  uint32_t retry_on_ = 0;
  uint32_t left_ = 0;
  bool in_retry_ = false;  // a retry was granted and its outcome is not known
  bool succeeded_ = false;
  std::optional<health::Backoff> backoff_;
  std::optional<lb::Duration> limited_delay_;
  health::Ticket ticket_;
  // From the request's headers; views into its arena.
  absl::string_view more_statuses_;
  absl::string_view more_headers_;
  const lb::Host* tried_[kMostTried] = {};
  size_t tried_count_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_RETRY_H_
