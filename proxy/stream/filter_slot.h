#ifndef REMORA_PROXY_STREAM_FILTER_SLOT_H_
#define REMORA_PROXY_STREAM_FILTER_SLOT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "filters/api/cluster_health.h"
#include "filters/api/filter.h"
#include "proxy/base/stats.h"
#include "proxy/base/timer.h"
#include "proxy/stream/filter_chain.h"

namespace remora::proxy {

// One filter of one exchange, and what it may ask of its stream. Lives in the stream's arena.
class FilterChain::Slot final : public FilterContext, public ClusterHealth {
 public:
  Slot(FilterChain* chain, size_t index, const HttpService::Filter& configured)
      : chain_(chain), index_(index), configured_(configured) {}
  ~Slot() override;

  void Start();
  HttpFilter& filter() { return *filter_; }
  Half& half(Direction direction) { return halves_[direction]; }

  Arena& arena() override { return host().arena(); }
  StreamInfo& info() override { return host().info(); }
  const StreamInfo& info() const override { return host().info(); }
  int64_t now_ns() const override { return host().loop().now_ns(); }
  uint64_t random() override { return host().random(); }
  Headers* request_headers() override { return host().request_headers(); }
  Headers* response_headers() override { return host().response_headers(); }
  const Runtime* runtime() const override { return host().runtime(); }
  void Count(uint32_t stat, int64_t amount) override;
  void Record(uint32_t stat, uint64_t value) override;
  void CountNamed(absl::string_view name, int64_t amount) override;
  void RecordNamed(absl::string_view name, uint64_t value) override;
  absl::string_view cluster_stat_prefix() const override;
  void CountForCluster(ClusterCount what) override;
  void ChargeCluster(int http_status) override;
  Metadata& dynamic_metadata() override { return host().dynamic_metadata(); }
  FilterState& filter_state() override { return host().filter_state(); }
  const void* route_config() const override;
  size_t route_configs(const void** out, size_t most) const override;
  absl::string_view cluster_name() const override;
  absl::string_view local_cluster_name() const override { return host().local_cluster_name(); }
  bool server_failing() const override { return host().server_failing(); }
  std::unique_ptr<SideCall> CallHttp(const HttpCall& call, HttpCallDone done) override;
  std::unique_ptr<SideCall> CallGrpc(const GrpcCall& call, GrpcCallDone done) override;
  std::unique_ptr<SideStream> OpenGrpc(const GrpcCall& call, SideStreamEvents* events) override;
  RouteRateLimits rate_limits() const override;
  std::optional<Hosts> HostsOf(absl::string_view cluster) const override;
  void OverrideHost(absl::string_view address, bool strict) override {
    host().OverrideHost(address, strict);
  }
  void StartTimer(int64_t delay_ns) override;
  void StopTimer() override;
  void Reply(const LocalReply& reply) override;
  void ResumeRequest() override { chain_->Resume(kRequest, index_); }
  void ResumeResponse() override { chain_->Resume(kResponse, index_); }
  void set_request_buffer_limit(uint64_t bytes) override { chain_->request_limit_ = bytes; }
  void ClearRoute() override { host().ClearRoute(); }
  void InjectRequest(Body& body) override { chain_->Inject(kRequest, index_, body); }
  void InjectResponse(Body& body) override { chain_->Inject(kResponse, index_, body); }
  Body& request_buffer() override { return halves_[kRequest].seen; }
  Body& response_buffer() override { return halves_[kResponse].seen; }
  Headers& AddRequestTrailers() override { return chain_->AddTrailers(kRequest, index_); }
  Headers& AddResponseTrailers() override { return chain_->AddTrailers(kResponse, index_); }
  Headers* request_trailers() override { return halves_[kRequest].trailers; }
  Headers* response_trailers() override { return halves_[kResponse].trailers; }
  void HoldRequest(bool hold) override { chain_->HoldBack(kRequest, index_, hold); }
  void HoldResponse(bool hold) override { chain_->HoldBack(kResponse, index_, hold); }
  uint64_t request_buffer_limit() const override { return host().request_buffer_limit(); }
  uint64_t response_buffer_limit() const override { return host().response_buffer_limit(); }

 private:
  FilterChainHost& host() const { return *chain_->host_; }
  const xds::PerFilterConfig* ConfigIn(const xds::PerFilterConfigs& configs) const;

  FilterChain* chain_;
  size_t index_;
  const HttpService::Filter& configured_;
  HttpFilter* filter_ = nullptr;
  std::optional<Timer> timer_;
  Half halves_[2];
};

// Whether the route leaves a filter on, by its name.
bool IsFilterOn(const xds::HttpFilterConfig& filter, const FilterChainHost::Levels& levels);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_FILTER_SLOT_H_
