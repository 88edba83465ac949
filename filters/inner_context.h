#ifndef REMORA_FILTERS_INNER_CONTEXT_H_
#define REMORA_FILTERS_INNER_CONTEXT_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "filters/api/filter.h"

namespace remora {

// The context of a filter inside another one: all of it is the outer filter's, but for the numbers,
// which the outer filter declares among its own, and the configuration of routes, which is not the
// inner filter's.
class InnerContext final : public FilterContext {
 public:
  // `first_stat`: where the inner filter's numbers begin among the outer one's; absent: they are
  // not among them.
  InnerContext(FilterContext* outer, const FilterFactory& factory,
               std::optional<uint32_t> first_stat)
      : outer_(*outer), factory_(factory), first_stat_(first_stat) {}

  Arena& arena() override { return outer_.arena(); }
  StreamInfo& info() override { return outer_.info(); }
  const StreamInfo& info() const override { return outer_.info(); }
  int64_t now_ns() const override { return outer_.now_ns(); }
  uint64_t random() override { return outer_.random(); }
  Headers* request_headers() override { return outer_.request_headers(); }
  Headers* response_headers() override { return outer_.response_headers(); }
  const Runtime* runtime() const override { return outer_.runtime(); }
  // Numbers with a place of their own are counted by name.
  void Count(uint32_t stat, int64_t amount) override {
    if (named()) return outer_.CountNamed(NameOf(stat), amount);
    if (first_stat_) outer_.Count(*first_stat_ + stat, amount);
  }
  void Record(uint32_t stat, uint64_t value) override {
    if (named()) return outer_.RecordNamed(NameOf(stat), value);
    if (first_stat_) outer_.Record(*first_stat_ + stat, value);
  }
  void CountNamed(absl::string_view name, int64_t amount) override {
    outer_.CountNamed(name, amount);
  }
  void RecordNamed(absl::string_view name, uint64_t value) override {
    outer_.RecordNamed(name, value);
  }
  absl::string_view cluster_stat_prefix() const override { return outer_.cluster_stat_prefix(); }
  void CountForCluster(ClusterCount what) override { outer_.CountForCluster(what); }
  void ChargeCluster(int http_status) override { outer_.ChargeCluster(http_status); }
  Metadata& dynamic_metadata() override { return outer_.dynamic_metadata(); }
  FilterState& filter_state() override { return outer_.filter_state(); }
  const void* route_config() const override { return nullptr; }
  size_t route_configs(const void**, size_t) const override { return 0; }
  absl::string_view cluster_name() const override { return outer_.cluster_name(); }
  absl::string_view local_cluster_name() const override { return outer_.local_cluster_name(); }
  bool server_failing() const override { return outer_.server_failing(); }
  std::unique_ptr<SideCall> CallHttp(const HttpCall& call, HttpCallDone done) override {
    return outer_.CallHttp(call, std::move(done));
  }
  std::unique_ptr<SideCall> CallGrpc(const GrpcCall& call, GrpcCallDone done) override {
    return outer_.CallGrpc(call, std::move(done));
  }
  std::unique_ptr<SideStream> OpenGrpc(const GrpcCall& call, SideStreamEvents* events) override {
    return outer_.OpenGrpc(call, events);
  }
  RouteRateLimits rate_limits() const override { return outer_.rate_limits(); }
  void OverrideHost(absl::string_view address, bool strict) override {
    outer_.OverrideHost(address, strict);
  }
  void StartTimer(int64_t delay_ns) override { outer_.StartTimer(delay_ns); }
  void StopTimer() override { outer_.StopTimer(); }
  void Reply(const LocalReply& reply) override { outer_.Reply(reply); }
  void ResumeRequest() override { outer_.ResumeRequest(); }
  void ResumeResponse() override { outer_.ResumeResponse(); }
  void set_request_buffer_limit(uint64_t bytes) override { outer_.set_request_buffer_limit(bytes); }
  void ClearRoute() override { outer_.ClearRoute(); }
  void InjectRequest(Body& body) override { outer_.InjectRequest(body); }
  void InjectResponse(Body& body) override { outer_.InjectResponse(body); }
  Body& request_buffer() override { return outer_.request_buffer(); }
  Body& response_buffer() override { return outer_.response_buffer(); }
  Headers& AddRequestTrailers() override { return outer_.AddRequestTrailers(); }
  Headers& AddResponseTrailers() override { return outer_.AddResponseTrailers(); }
  Headers* request_trailers() override { return outer_.request_trailers(); }
  Headers* response_trailers() override { return outer_.response_trailers(); }
  void HoldRequest(bool hold) override { outer_.HoldRequest(hold); }
  void HoldResponse(bool hold) override { outer_.HoldResponse(hold); }
  uint64_t request_buffer_limit() const override { return outer_.request_buffer_limit(); }
  uint64_t response_buffer_limit() const override { return outer_.response_buffer_limit(); }

 private:
  bool named() const { return absl::StartsWith(factory_.stat_prefix(), "."); }
  std::string NameOf(uint32_t stat) const {
    return absl::StrCat(factory_.stat_prefix().substr(1), factory_.stats()[stat].name);
  }

  FilterContext& outer_;
  const FilterFactory& factory_;
  std::optional<uint32_t> first_stat_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_INNER_CONTEXT_H_
