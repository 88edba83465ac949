#include "proxy/stream/retry.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace remora::proxy {
namespace {

using std::chrono::milliseconds;

lb::Duration ToLb(absl::Duration duration) {
  return lb::Duration(absl::ToInt64Nanoseconds(duration));
}

bool IsGatewayError(int status) { return status == 502 || status == 503 || status == 504; }

// Calls fn(item) for each item of a comma-separated list until it answers true.
template <typename Fn>
bool AnyItem(absl::string_view list, Fn&& fn) {
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    item = absl::StripAsciiWhitespace(item);
    if (!item.empty() && fn(item)) return true;
  }
  return false;
}

uint32_t GrpcCondition(absl::string_view status) {
  int code = -1;
  if (!absl::SimpleAtoi(status, &code)) return 0;
  switch (code) {
    case 1:
      return xds::kRetryGrpcCancelled;
    case 4:
      return xds::kRetryGrpcDeadlineExceeded;
    case 8:
      return xds::kRetryGrpcResourceExhausted;
    case 13:
      return xds::kRetryGrpcInternal;
    case 14:
      return xds::kRetryGrpcUnavailable;
    default:
      return 0;
  }
}

}  // namespace

void Retry::Reset() {
  ticket_.Release();
  *this = Retry();
}

void Retry::Begin(const xds::RetryPolicy* policy, Headers& request) {
  policy_ = policy;
  if (policy != nullptr) {
    retry_on_ = policy->retry_on;
    left_ = policy->num_retries;
    const auto& wanted = policy->retriable_request_headers;
    if (!wanted.empty() && std::none_of(wanted.begin(), wanted.end(), [&](const auto& matcher) {
          return matcher.Match(request);
        })) {
      retry_on_ = 0;
    }
  } else {
    left_ = 1;
  }
  ReadHeaders(request);
  if (retry_on_ == 0) return;
  const auto base = policy != nullptr && policy->backoff_base.has_value()
                        ? ToLb(*policy->backoff_base)
                        : lb::Duration(milliseconds(25));
  const auto max =
      policy != nullptr && policy->backoff_max.has_value() ? ToLb(*policy->backoff_max) : base * 10;
  backoff_.emplace(base, std::max(base, max));
}

void Retry::ReadHeaders(Headers& request) {
  if (const auto on = request.Get(HeaderId::kXEnvoyRetryOn)) {
    retry_on_ |= xds::ParseRetryOn(*on);
    request.Remove(HeaderId::kXEnvoyRetryOn);
  }
  if (const auto on = request.Get(HeaderId::kXEnvoyRetryGrpcOn)) {
    retry_on_ |= xds::ParseRetryOn(*on);
    request.Remove(HeaderId::kXEnvoyRetryGrpcOn);
  }
  if (const auto most = request.Get(HeaderId::kXEnvoyMaxRetries)) {
    uint32_t count = 0;
    if (retry_on_ != 0 && absl::SimpleAtoi(*most, &count)) left_ = count;
    request.Remove(HeaderId::kXEnvoyMaxRetries);
  }
  if (const auto statuses = request.Get(HeaderId::kXEnvoyRetriableStatusCodes)) {
    more_statuses_ = *statuses;
    request.Remove(HeaderId::kXEnvoyRetriableStatusCodes);
  }
  if (const auto names = request.Get(HeaderId::kXEnvoyRetriableHeaderNames)) {
    more_headers_ = *names;
    request.Remove(HeaderId::kXEnvoyRetriableHeaderNames);
  }
}

bool Retry::WantsAnswer(const Headers& headers) const {
  if (headers.Has(HeaderId::kXEnvoyOverloaded)) return false;
  if (headers.Has(HeaderId::kXEnvoyRatelimited)) {
    return (retry_on_ & xds::kRetryEnvoyRatelimited) != 0;
  }
  const int status = headers.status();
  if ((retry_on_ & xds::kRetry5xx) && status >= 500 && status < 600) return true;
  if ((retry_on_ & xds::kRetryGatewayError) && IsGatewayError(status)) return true;
  if ((retry_on_ & xds::kRetryRetriable4xx) && status == 409) return true;
  if (retry_on_ & xds::kRetryRetriableStatusCodes) {
    if (policy_ != nullptr) {
      for (const uint32_t code : policy_->retriable_status_codes) {
        if (static_cast<int>(code) == status) return true;
      }
    }
    const auto same = [&](absl::string_view item) {
      int code = 0;
      return absl::SimpleAtoi(item, &code) && code == status;
    };
    if (AnyItem(more_statuses_, same)) return true;
  }
  if (retry_on_ & xds::kRetryRetriableHeaders) {
    if (policy_ != nullptr) {
      for (const HeaderMatcher& matcher : policy_->retriable_headers) {
        if (matcher.Match(headers)) return true;
      }
    }
    if (AnyItem(more_headers_, [&](absl::string_view name) {
          return headers.Get(absl::AsciiStrToLower(name)).has_value();
        })) {
      return true;
    }
  }
  constexpr uint32_t kGrpc = xds::kRetryGrpcCancelled | xds::kRetryGrpcDeadlineExceeded |
                             xds::kRetryGrpcInternal | xds::kRetryGrpcResourceExhausted |
                             xds::kRetryGrpcUnavailable;
  return (retry_on_ & kGrpc) != 0 &&
         (retry_on_ & GrpcCondition(headers.Value(HeaderId::kGrpcStatus))) != 0;
}

bool Retry::WantsFailure(AttemptFailure failure, bool sent, bool timed_out) const {
  if (failure == AttemptFailure::kOverflow) return false;
  if ((retry_on_ & xds::kRetryResetBeforeRequest) && !sent) return true;
  if (retry_on_ & (xds::kRetryReset | xds::kRetry5xx | xds::kRetryGatewayError)) return true;
  if (timed_out) return false;
  if ((retry_on_ & xds::kRetryRefusedStream) && failure == AttemptFailure::kRemoteRefused) {
    return true;
  }
  return (retry_on_ & xds::kRetryConnectFailure) &&
         (failure == AttemptFailure::kRemoteConnectFailed ||
          failure == AttemptFailure::kLocalConnectFailed ||
          failure == AttemptFailure::kConnectTimeout);
}

Retry::Verdict Retry::Decide(bool wanted, health::Breakers& breakers) {
  succeeded_ = in_retry_ && !wanted;
  in_retry_ = false;
  ticket_.Release();
  if (!wanted) return Verdict::kNo;
  if (left_ == 0) return Verdict::kExhausted;
  --left_;
  ticket_ = breakers.TryTake(health::Resource::kRetries);
  if (!ticket_) return Verdict::kOverflow;
  in_retry_ = true;
  return Verdict::kYes;
}

Retry::Verdict Retry::OnAnswer(const Headers& headers, health::Breakers& breakers) {
  const bool wanted = WantsAnswer(headers);
  if (wanted && policy_ != nullptr && !policy_->reset_headers.empty()) ReadResetHeaders(headers);
  return Decide(wanted, breakers);
}

Retry::Verdict Retry::OnFailure(AttemptFailure failure, bool sent, bool timed_out,
                                health::Breakers& breakers) {
  limited_delay_.reset();
  return Decide(WantsFailure(failure, sent, timed_out), breakers);
}

Retry::Verdict Retry::OnLate(health::Breakers& breakers) {
  limited_delay_.reset();
  return Decide(true, breakers);
}

void Retry::ReadResetHeaders(const Headers& headers) {
  limited_delay_.reset();
  for (const auto& reset : policy_->reset_headers) {
    const auto text = headers.Get(reset.name);
    uint64_t seconds = 0;
    if (!text.has_value() || !absl::SimpleAtoi(*text, &seconds)) continue;
    if (reset.unix_timestamp) {
      const auto now = static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now()));
      if (seconds <= now) continue;
      seconds -= now;
    }
    const absl::Duration delay = absl::Seconds(seconds);
    if (delay > policy_->rate_limited_max) continue;
    limited_delay_ = ToLb(delay);
    return;
  }
}

lb::Duration Retry::NextDelay(lb::RandomSource& random, bool* limited) {
  *limited = limited_delay_.has_value();
  if (!*limited) return backoff_->Next(random);
  // Jitter of half, so that those who were told the same moment do not come together.
  const auto told = std::chrono::duration_cast<milliseconds>(*limited_delay_);
  const auto spread = static_cast<uint64_t>(std::max<int64_t>(told.count() / 2, 1));
  return told + milliseconds(random.Below(spread));
}

void Retry::Tried(const lb::Host* host) {
  if (tried_count_ < kMostTried) tried_[tried_count_++] = host;
}

uint32_t Retry::max_reselections() const {
  return policy_ == nullptr ? 0 : policy_->host_selection_attempts;
}

bool Retry::Rejects(const lb::HostEntry& entry) const {
  if (policy_ == nullptr) return false;
  if (policy_->avoid_previous_hosts &&
      std::find(tried_, tried_ + tried_count_, entry.host.get()) != tried_ + tried_count_) {
    return true;
  }
  if (policy_->omit_canary_hosts && entry.attributes->canary) return true;
  if (policy_->omit_host_metadata.empty()) return false;
  const auto* metadata = static_cast<const Metadata*>(entry.attributes->metadata.get());
  if (metadata == nullptr) return false;
  for (const auto& [space, value] : policy_->omit_host_metadata.namespaces) {
    const auto it = metadata->namespaces.find(space);
    const MetadataValue::Fields* unwanted = value.fields();
    if (it == metadata->namespaces.end() || unwanted == nullptr) return false;
    for (const auto& [key, wanted] : *unwanted) {
      const MetadataValue* has = it->second.Find(key);
      if (has == nullptr || !(*has == wanted)) return false;
    }
  }
  return true;
}

}  // namespace remora::proxy
