// envoy.filters.http.fault: delays and aborts, by share of requests, headers and runtime.
#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "envoy/extensions/filters/common/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::fault::v3;

enum Stat : uint32_t {
  kAbortsInjected,
  kDelaysInjected,
  kFaultsOverflow,
  kResponseRlInjected,
  kActiveFaults,
};
constexpr FilterStat kStats[] = {{"aborts_injected"},
                                 {"delays_injected"},
                                 {"faults_overflow"},
                                 {"response_rl_injected"},
                                 {"active_faults", /*gauge=*/true}};

std::string Or(const std::string& key, const char* otherwise) {
  return key.empty() ? otherwise : key;
}

struct Settings {
  // A delay: its share, its length; by header when the length is asked of the client.
  std::optional<FractionalPercent> delay_share;
  int64_t delay_ms = 0;
  bool delay_by_header = false;
  std::optional<FractionalPercent> abort_share;
  int abort_status = 0;
  std::optional<int> abort_grpc;
  bool abort_by_header = false;
  std::string cluster;
  std::vector<HeaderMatcher> headers;
  std::vector<std::string> downstream_nodes;
  std::optional<uint32_t> most_active;
  std::string delay_percent_key;
  std::string delay_ms_key;
  std::string abort_percent_key;
  std::string abort_status_key;
  std::string abort_grpc_key;
  std::string most_active_key;
  // Faults under way on all workers.
  mutable std::atomic<uint32_t> active{0};
};

std::optional<int64_t> NumberIn(const Headers& headers, absl::string_view name) {
  int64_t number = 0;
  const std::optional<absl::string_view> text = headers.Get(name);
  if (!text || !absl::SimpleAtoi(*text, &number) || number < 0) return std::nullopt;
  return number;
}

class FaultFilter final : public HttpFilter {
 public:
  explicit FaultFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override;
  void OnTimer() override;
  void OnEnd() override { LetGo(); }

 private:
  bool Applies(const Headers& headers) const;
  bool Takes(const FractionalPercent& share, const std::string& key, const Headers& headers,
             absl::string_view share_header) const;
  std::optional<int64_t> DelayMs(const Headers& headers) const;
  bool MaybeAbort(const Headers& headers);
  bool TakeFault();
  void LetGo();

  const Settings* settings_;
  bool active_ = false;
};

bool FaultFilter::Applies(const Headers& headers) const {
  if (!settings_->cluster.empty() && settings_->cluster != context_->cluster_name()) return false;
  if (!MatchAll(settings_->headers, headers)) return false;
  if (settings_->downstream_nodes.empty()) return true;
  const absl::string_view node = headers.Value(HeaderId::kXEnvoyDownstreamServiceNode);
  return std::find(settings_->downstream_nodes.begin(), settings_->downstream_nodes.end(), node) !=
         settings_->downstream_nodes.end();
}

// A client that asks for a fault may ask for less of it, never for more.
bool FaultFilter::Takes(const FractionalPercent& share, const std::string& key,
                        const Headers& headers, absl::string_view share_header) const {
  const Runtime* runtime = context_->runtime();
  FractionalPercent taken = runtime == nullptr ? share : runtime->Fraction(key, share);
  if (!share_header.empty()) {
    if (const std::optional<int64_t> asked = NumberIn(headers, share_header)) {
      taken.numerator =
          static_cast<uint32_t>(std::min<int64_t>(*asked, static_cast<int64_t>(taken.numerator)));
    }
  }
  return taken.Includes(context_->random());
}

std::optional<int64_t> FaultFilter::DelayMs(const Headers& headers) const {
  if (!settings_->delay_share) return std::nullopt;
  const absl::string_view share_header =
      settings_->delay_by_header ? "x-envoy-fault-delay-request-percentage" : "";
  if (!Takes(*settings_->delay_share, settings_->delay_percent_key, headers, share_header)) {
    return std::nullopt;
  }
  if (settings_->delay_by_header) return NumberIn(headers, "x-envoy-fault-delay-request");
  const Runtime* runtime = context_->runtime();
  const auto otherwise = static_cast<uint64_t>(settings_->delay_ms);
  const auto delay = static_cast<int64_t>(
      runtime == nullptr ? otherwise : runtime->Integer(settings_->delay_ms_key, otherwise));
  return delay > 0 ? std::optional(delay) : std::nullopt;
}

bool FaultFilter::TakeFault() {
  if (active_) return true;
  const Runtime* runtime = context_->runtime();
  uint64_t most = settings_->most_active.value_or(UINT32_MAX);
  if (runtime != nullptr) most = runtime->Integer(settings_->most_active_key, most);
  if (settings_->active.load(std::memory_order_relaxed) >= most) {
    context_->Count(kFaultsOverflow);
    return false;
  }
  settings_->active.fetch_add(1, std::memory_order_relaxed);
  context_->Count(kActiveFaults);
  active_ = true;
  return true;
}

void FaultFilter::LetGo() {
  if (!std::exchange(active_, false)) return;
  settings_->active.fetch_sub(1, std::memory_order_relaxed);
  context_->Count(kActiveFaults, -1);
}

bool FaultFilter::MaybeAbort(const Headers& headers) {
  if (!settings_->abort_share) return false;
  LocalReply reply;
  reply.status = settings_->abort_status;
  reply.grpc_status = settings_->abort_grpc;
  const Runtime* runtime = context_->runtime();
  if (settings_->abort_by_header) {
    const auto status = NumberIn(headers, "x-envoy-fault-abort-request");
    const auto grpc = NumberIn(headers, "x-envoy-fault-abort-grpc-request");
    const bool valid = status && *status >= 200 && *status < 600;
    if (!valid && !grpc) return false;
    reply.status = valid ? static_cast<int>(*status) : 200;
    if (grpc) reply.grpc_status = static_cast<int>(*grpc);
  } else if (runtime != nullptr) {
    reply.status = static_cast<int>(
        runtime->Integer(settings_->abort_status_key, static_cast<uint64_t>(reply.status)));
  }
  const absl::string_view share_header =
      settings_->abort_by_header ? "x-envoy-fault-abort-request-percentage" : "";
  if (!Takes(*settings_->abort_share, settings_->abort_percent_key, headers, share_header)) {
    return false;
  }
  if (!TakeFault()) return false;
  context_->Count(kAbortsInjected);
  context_->info().flags.Add(ResponseFlag::kFaultInjected);
  reply.body = "fault filter abort";
  reply.details = "fault_filter_abort";
  context_->Reply(reply);
  return true;
}

Verdict FaultFilter::OnRequestHeaders(Headers& headers, bool) {
  if (const void* route = context_->route_config()) settings_ = static_cast<const Settings*>(route);
  if (!Applies(headers)) return Verdict::kContinue;
  if (const std::optional<int64_t> delay = DelayMs(headers); delay && TakeFault()) {
    context_->Count(kDelaysInjected);
    context_->info().flags.Add(ResponseFlag::kDelayInjected);
    context_->StartTimer(*delay * 1000000);
    return Verdict::kPause;
  }
  return MaybeAbort(headers) ? Verdict::kReplied : Verdict::kContinue;
}

void FaultFilter::OnTimer() {
  if (MaybeAbort(*context_->request_headers())) return;
  LetGo();
  context_->ResumeRequest();
}

class FaultFactory final : public FilterFactory {
 public:
  explicit FaultFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(FaultFilter))) FaultFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "fault."; }

 private:
  std::shared_ptr<const Settings> settings_;
};

void ReadDelayAndAbort(const pb::HTTPFault& proto, Settings* out) {
  if (proto.has_delay()) {
    out->delay_share = FractionalPercent::From(proto.delay().percentage());
    out->delay_by_header = proto.delay().has_header_delay();
    const auto& fixed = proto.delay().fixed_delay();
    out->delay_ms = fixed.seconds() * 1000 + fixed.nanos() / 1000000;
  }
  if (proto.has_abort()) {
    out->abort_share = FractionalPercent::From(proto.abort().percentage());
    out->abort_by_header = proto.abort().has_header_abort();
    out->abort_status = static_cast<int>(proto.abort().http_status());
    if (proto.abort().error_type_case() == pb::FaultAbort::kGrpcStatus) {
      out->abort_grpc = static_cast<int>(proto.abort().grpc_status());
      out->abort_status = 200;
    }
  }
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::HTTPFault> proto = DecodeConfig<pb::HTTPFault>(config);
  if (!proto.ok()) return proto.status();
  if (proto->has_response_rate_limit()) return NotSupported("fault", "response_rate_limit");
  auto out = std::make_shared<Settings>();
  ReadDelayAndAbort(*proto, out.get());
  out->cluster = proto->upstream_cluster();
  for (const auto& header : proto->headers()) {
    absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(header);
    if (!matcher.ok()) return matcher.status();
    out->headers.push_back(*std::move(matcher));
  }
  out->downstream_nodes.assign(proto->downstream_nodes().begin(), proto->downstream_nodes().end());
  if (proto->has_max_active_faults()) out->most_active = proto->max_active_faults().value();
  out->delay_percent_key =
      Or(proto->delay_percent_runtime(), "fault.http.delay.fixed_delay_percent");
  out->delay_ms_key = Or(proto->delay_duration_runtime(), "fault.http.delay.fixed_duration_ms");
  out->abort_percent_key = Or(proto->abort_percent_runtime(), "fault.http.abort.abort_percent");
  out->abort_status_key = Or(proto->abort_http_status_runtime(), "fault.http.abort.http_status");
  out->abort_grpc_key = Or(proto->abort_grpc_status_runtime(), "fault.http.abort.grpc_status");
  out->most_active_key = Or(proto->max_active_faults_runtime(), "fault.http.max_active_faults");
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<FaultFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType FaultFilterType() {
  return {"envoy.extensions.filters.http.fault.v3.HTTPFault", &Make,
          "envoy.extensions.filters.http.fault.v3.HTTPFault", &ParseRoute};
}

}  // namespace remora
