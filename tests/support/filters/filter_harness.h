#ifndef REMORA_TESTS_SUPPORT_FILTERS_FILTER_HARNESS_H_
#define REMORA_TESTS_SUPPORT_FILTERS_FILTER_HARNESS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/factory.h"
#include "filters/api/filter.h"
#include "filters/api/filter_state.h"
#include "filters/metadata.h"
#include "filters/registry.h"

namespace remora::testing {

// One filter of one exchange, worked by hand: what it asks of its stream is noted here.
class FilterHarness : public FilterContext {
 public:
  // Makes the filter from its typed configuration; `type` is the message's name.
  FilterHarness(absl::string_view type, absl::string_view config);
  ~FilterHarness() override;

  // A level of the route, least specific first; `config` is of the filter's route type.
  void AddRouteConfig(absl::string_view type, absl::string_view config);

  Verdict Request(bool end = true) { return filter->OnRequestHeaders(request, end); }
  Verdict RequestBody(absl::string_view text, bool end);
  Verdict Response() { return filter->OnResponseHeaders(response, true); }
  std::string Value(const Headers& headers, absl::string_view name) const;
  uint64_t Stat(absl::string_view name) const;

  // FilterContext
  Arena& arena() override { return arena_; }
  StreamInfo& info() override { return info_; }
  const StreamInfo& info() const override { return info_; }
  int64_t now_ns() const override { return now; }
  uint64_t random() override { return random_number; }
  Headers* request_headers() override { return &request; }
  Headers* response_headers() override { return &response; }
  const Runtime* runtime() const override { return nullptr; }
  void Count(uint32_t stat, int64_t amount) override { counts_[stat] += amount; }
  void Record(uint32_t stat, uint64_t value) override { records[stat].push_back(value); }
  void CountNamed(absl::string_view name, int64_t amount) override {
    named[std::string(name)] += amount;
  }
  void RecordNamed(absl::string_view name, uint64_t value) override {
    named_records[std::string(name)].push_back(value);
  }
  absl::string_view cluster_stat_prefix() const override { return cluster_prefix; }
  void CountForCluster(ClusterCount what) override { ++cluster_counts[what]; }
  void ChargeCluster(int http_status) override { charged.push_back(http_status); }
  Metadata& dynamic_metadata() override { return metadata; }
  std::unique_ptr<SideCall> CallHttp(const HttpCall& call, HttpCallDone done) override;
  std::unique_ptr<SideCall> CallGrpc(const GrpcCall& call, GrpcCallDone done) override;
  FilterState& filter_state() override { return state; }
  std::unique_ptr<SideStream> OpenGrpc(const GrpcCall& call, SideStreamEvents* events) override;
  RouteRateLimits rate_limits() const override { return limits; }
  void OverrideHost(absl::string_view address, bool strict) override {
    named_host = std::string(address);
    named_strict = strict;
  }
  const void* route_config() const override;
  size_t route_configs(const void** out, size_t most) const override;
  absl::string_view cluster_name() const override { return cluster; }
  absl::string_view local_cluster_name() const override { return "us"; }
  bool server_failing() const override { return failing; }
  void StartTimer(int64_t delay_ns) override { timer = delay_ns; }
  void StopTimer() override { timer.reset(); }
  void Reply(const LocalReply& reply) override;
  void ResumeRequest() override { ++resumed; }
  void ResumeResponse() override { ++response_resumed; }
  void set_request_buffer_limit(uint64_t bytes) override { buffer_limit = bytes; }
  void ClearRoute() override { ++cleared; }
  void InjectRequest(Body& body) override { injected_request.Append(body); }
  void InjectResponse(Body& body) override { injected_response.Append(body); }
  Body& request_buffer() override { return kept_request; }
  Body& response_buffer() override { return kept_response; }
  Headers& AddRequestTrailers() override { return added_request_trailers.emplace(&arena_); }
  Headers& AddResponseTrailers() override { return added_response_trailers.emplace(&arena_); }
  Headers* request_trailers() override { return nullptr; }
  Headers* response_trailers() override { return nullptr; }
  void HoldRequest(bool hold) override { request_held = hold; }
  void HoldResponse(bool hold) override { response_held = hold; }
  uint64_t request_buffer_limit() const override { return 1024 * 1024; }
  uint64_t response_buffer_limit() const override { return 1024 * 1024; }

 private:
  Arena arena_;
  StreamInfo info_;
  std::map<uint32_t, int64_t> counts_;
  std::vector<std::shared_ptr<const void>> route_configs_;

 public:
  std::shared_ptr<const FilterFactory> factory;
  HttpFilter* filter = nullptr;
  Headers request{&arena_};
  Headers response{&arena_};
  int64_t now = 1000000000;
  uint64_t random_number = 0;
  std::string cluster;
  bool failing = false;
  std::optional<int64_t> timer;
  Metadata metadata;
  std::map<ClusterCount, int> cluster_counts;
  std::vector<int> charged;
  // The last call, and what answers it; null once the filter dropped its handle.
  Headers* call_headers = nullptr;
  std::string call_cluster;
  std::string call_body;  // or the gRPC message
  std::string call_method;
  int64_t call_timeout_ms = 0;
  HttpCallDone http_done;
  GrpcCallDone grpc_done;
  int resumed = 0;
  int response_resumed = 0;
  std::map<uint32_t, std::vector<uint64_t>> records;
  std::map<std::string, int64_t> named;
  std::map<std::string, std::vector<uint64_t>> named_records;
  std::string cluster_prefix;
  FilterState state;
  RouteRateLimits limits;
  std::string named_host;
  bool named_strict = false;
  Body injected_request;
  Body injected_response;
  Body kept_request;
  Body kept_response;
  std::optional<Headers> added_request_trailers;
  std::optional<Headers> added_response_trailers;
  bool request_held = false;
  bool response_held = false;
  // The last gRPC stream: what was sent on it; null once the filter dropped it.
  SideStreamEvents* stream_events = nullptr;
  std::vector<std::string> stream_sent;
  bool stream_closed = false;
  int cleared = 0;
  std::optional<uint64_t> buffer_limit;
  // The last reply, its headers made.
  int replies = 0;
  int reply_status = 0;
  std::optional<int> reply_grpc;
  std::string reply_body;
  std::string reply_details;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_FILTERS_FILTER_HARNESS_H_
