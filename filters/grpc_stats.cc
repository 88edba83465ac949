// envoy.filters.http.grpc_stats: counts gRPC calls and messages by method.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "filters/api/filter_state.h"
#include "filters/grpc_counts.h"
#include "filters/grpc_status.h"
#include "filters/makers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_stats::v3;

struct Settings {
  bool emit_state = false;
  bool all_methods = false;
  // Which methods have numbers of their own, where not all have.
  std::map<std::string, std::set<std::string, std::less<>>, std::less<>> listed;
  bool upstream_time = false;
  bool replace_dots = false;

  bool Lists(const GrpcMethod& method) const {
    if (all_methods) return true;
    const auto found = listed.find(std::string(method.service));
    return found != listed.end() && found->second.contains(std::string(method.method));
  }
};

class GrpcStatsFilter final : public HttpFilter {
 public:
  explicit GrpcStatsFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    grpc_ = IsGrpcRequest(headers);
    if (!grpc_) return Verdict::kContinue;
    const std::optional<GrpcMethod> method = GrpcMethod::Of(headers.path());
    if (!method) return Verdict::kContinue;
    // Methods that are not listed go to the cluster's numbers.
    if (!settings_->Lists(*method)) {
      prefix_ = GrpcStatPrefix(*context_, "grpc", nullptr);
      return Verdict::kContinue;
    }
    GrpcMethod named = *method;
    std::string service(named.service);
    // Those that are listed are called as they are.
    if (settings_->replace_dots && settings_->all_methods) {
      std::replace(service.begin(), service.end(), '.', '_');
    }
    named.service = service;
    prefix_ = GrpcStatPrefix(*context_, "grpc", &named);
    return Verdict::kContinue;
  }

  Verdict OnRequestBody(Body& body, bool) override {
    if (grpc_) CountMessages(requests_, body, "request_message_count");
    return Verdict::kContinue;
  }

  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    grpc_response_ = headers.status() == 200 && IsGrpcRequest(headers);
    if (prefix_.empty()) return Verdict::kContinue;
    CountGrpcAnswer(*context_, prefix_, headers);
    if (end) RecordTime();
    return Verdict::kContinue;
  }

  Verdict OnResponseBody(Body& body, bool) override {
    if (grpc_response_) CountMessages(responses_, body, "response_message_count");
    return Verdict::kContinue;
  }

  Verdict OnResponseTrailers(Headers& trailers) override {
    if (prefix_.empty()) return Verdict::kContinue;
    CountGrpcAnswer(*context_, prefix_, trailers);
    RecordTime();
    return Verdict::kContinue;
  }

 private:
  void CountMessages(GrpcMessageCounter& counter, const Body& body, absl::string_view name) {
    const uint64_t more = counter.Inspect(body);
    if (more == 0) return;
    Emit();
    if (!prefix_.empty()) {
      context_->CountNamed(absl::StrCat(prefix_, name), static_cast<int64_t>(more));
    }
  }

  void Emit() {
    if (!settings_->emit_state) return;
    std::string text = "{";
    const auto add = [&](absl::string_view name, uint64_t count) {
      if (count == 0) return;
      absl::StrAppend(&text, text.size() == 1 ? "" : ",", "\"", name, "\":\"", count, "\"");
    };
    add("requestMessageCount", requests_.count());
    add("responseMessageCount", responses_.count());
    text += "}";
    auto& texts = context_->filter_state().texts;
    texts["envoy.filters.http.grpc_stats"] =
        absl::StrCat(requests_.count(), ",", responses_.count());
    texts["envoy.filters.http.grpc_stats.json"] = std::move(text);
  }

  void RecordTime() {
    const StreamTiming& timing = context_->info().timing;
    if (!settings_->upstream_time || timing.upstream_last_tx_ns == 0 ||
        timing.upstream_last_rx_ns == 0) {
      return;
    }
    const int64_t taken = timing.upstream_last_rx_ns - timing.upstream_last_tx_ns;
    context_->RecordNamed(absl::StrCat(prefix_, "upstream_rq_time"),
                          static_cast<uint64_t>(std::max<int64_t>(taken, 0) / 1000000));
  }

  const Settings* settings_;
  std::string prefix_;  // empty: nothing is counted
  GrpcMessageCounter requests_;
  GrpcMessageCounter responses_;
  bool grpc_ = false;
  bool grpc_response_ = false;
};

class GrpcStatsFactory final : public FilterFactory {
 public:
  explicit GrpcStatsFactory(Settings settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(GrpcStatsFilter))) GrpcStatsFilter(&settings_);
  }

 private:
  Settings settings_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::FilterConfig> proto = DecodeConfig<pb::FilterConfig>(config);
  if (!proto.ok()) return proto.status();
  Settings settings;
  settings.emit_state = proto->emit_filter_state();
  settings.all_methods = proto->stats_for_all_methods().value();
  for (const auto& service : proto->individual_method_stats_allowlist().services()) {
    settings.listed[service.name()].insert(service.method_names().begin(),
                                           service.method_names().end());
  }
  settings.upstream_time = proto->enable_upstream_stats();
  settings.replace_dots = proto->replace_dots_in_grpc_service_name();
  return std::make_shared<GrpcStatsFactory>(std::move(settings));
}

}  // namespace

HttpFilterType GrpcStatsFilterType() {
  return {"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", &Make, {}, nullptr};
}

}  // namespace remora
