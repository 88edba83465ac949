#include "proxy/stream/filter_slot.h"

#include <iterator>
#include <utility>

#include "proxy/stream/side_calls.h"
#include "proxy/upstream/cluster_view.h"

namespace remora::proxy {
namespace {

// The configurations of one filter's name, least specific first; null where a level has none.
struct OfLevels {
  const xds::PerFilterConfig* configs[3] = {};
};

const xds::PerFilterConfig* Find(const xds::PerFilterConfigs& configs, const std::string& name) {
  if (configs.empty()) return nullptr;
  const auto found = configs.find(name);
  return found == configs.end() ? nullptr : &found->second;
}

OfLevels Collect(const FilterChainHost::Levels& levels, const std::string& name) {
  OfLevels out;
  if (levels.table != nullptr) out.configs[0] = Find(levels.table->per_filter(), name);
  if (levels.virtual_host != nullptr) out.configs[1] = Find(levels.virtual_host->per_filter, name);
  if (levels.route != nullptr) out.configs[2] = Find(levels.route->per_filter, name);
  return out;
}

}  // namespace

bool IsFilterOn(const xds::HttpFilterConfig& filter, const FilterChainHost::Levels& levels) {
  const OfLevels found = Collect(levels, filter.name);
  for (size_t i = std::size(found.configs); i-- > 0;) {
    const xds::PerFilterConfig* config = found.configs[i];
    if (config == nullptr) continue;
    // A level's own configuration turns a filter on that is off in the chain.
    return !config->disabled;
  }
  return !filter.disabled;
}

FilterChain::Slot::~Slot() {
  if (filter_ != nullptr) configured_.config->factory->Destroy(filter_);
}

void FilterChain::Slot::Start() {
  filter_ = configured_.config->factory->Create(arena());
  filter_->Attach(this);
}

void FilterChain::Slot::Count(uint32_t stat, int64_t amount) {
  if (configured_.stats == nullptr) return;
  StatScope<uint32_t>(host().stat_slab().Cells(*configured_.stats))
      .Add(stat, static_cast<uint64_t>(amount));
}

void FilterChain::Slot::Record(uint32_t stat, uint64_t value) {
  if (configured_.stats == nullptr) return;
  StatScope<uint32_t>(host().stat_slab().Cells(*configured_.stats)).Record(stat, value);
}

void FilterChain::Slot::CountNamed(absl::string_view name, int64_t amount) {
  host().stat_slab().AddNamed(name, static_cast<uint64_t>(amount));
}

void FilterChain::Slot::RecordNamed(absl::string_view name, uint64_t value) {
  host().stat_slab().RecordNamed(name, value);
}

absl::string_view FilterChain::Slot::cluster_stat_prefix() const {
  const ClusterView* cluster = host().view().FindCluster(cluster_name());
  if (cluster == nullptr) return {};
  return cluster->cluster().shared->stats->prefix;
}

RouteRateLimits FilterChain::Slot::rate_limits() const {
  const FilterChainHost::Levels levels = host().route_levels();
  RouteRateLimits out;
  if (levels.virtual_host != nullptr) out.virtual_host = levels.virtual_host->rate_limits.get();
  if (levels.route == nullptr || levels.route->forward() == nullptr) return out;
  out.route = levels.route->forward()->rate_limits.get();
  out.include_virtual_host = levels.route->forward()->include_vh_rate_limits;
  return out;
}

std::optional<ClusterHealth::Hosts> FilterChain::Slot::HostsOf(absl::string_view cluster) const {
  const ClusterView* view = host().view().FindCluster(cluster);
  if (view == nullptr) return std::nullopt;
  const lb::HostSet& hosts = view->cluster().policy->hosts();
  return Hosts{hosts.size(), hosts.healthy_count() + hosts.degraded_count()};
}

std::unique_ptr<SideStream> FilterChain::Slot::OpenGrpc(const GrpcCall& call,
                                                        SideStreamEvents* events) {
  return OpenGrpcSideStream(host().view(), call, events);
}

void FilterChain::Slot::CountForCluster(ClusterCount what) {
  const ClusterView* cluster = host().view().FindCluster(cluster_name());
  if (cluster == nullptr) return;
  StatScope<ClusterCount>(host().stat_slab().Cells(*cluster->cluster().shared->filters)).Add(what);
}

void FilterChain::Slot::ChargeCluster(int http_status) {
  ClusterView* cluster = host().view().FindCluster(cluster_name());
  if (cluster == nullptr) return;
  CountAnswer(cluster->stats(), http_status);
  CountAnswer(cluster->internal_answers(), http_status);
}

std::unique_ptr<SideCall> FilterChain::Slot::CallHttp(const HttpCall& call, HttpCallDone done) {
  return StartHttpCall(host().view(), call, std::move(done));
}

std::unique_ptr<SideCall> FilterChain::Slot::CallGrpc(const GrpcCall& call, GrpcCallDone done) {
  return StartGrpcSideCall(host().view(), call, std::move(done));
}

const void* FilterChain::Slot::route_config() const {
  const OfLevels found = Collect(host().route_levels(), configured_.config->name);
  for (size_t i = std::size(found.configs); i-- > 0;) {
    if (found.configs[i] != nullptr && found.configs[i]->parsed != nullptr) {
      return found.configs[i]->parsed.get();
    }
  }
  return nullptr;
}

size_t FilterChain::Slot::route_configs(const void** out, size_t most) const {
  const OfLevels found = Collect(host().route_levels(), configured_.config->name);
  size_t count = 0;
  for (const xds::PerFilterConfig* config : found.configs) {
    if (config != nullptr && config->parsed != nullptr && count < most) {
      out[count++] = config->parsed.get();
    }
  }
  return count;
}

absl::string_view FilterChain::Slot::cluster_name() const {
  const FilterChainHost::Levels levels = host().route_levels();
  if (levels.route == nullptr || levels.route->forward() == nullptr) return {};
  return levels.route->forward()->cluster;
}

void FilterChain::Slot::StartTimer(int64_t delay_ns) {
  if (!timer_) {
    timer_.emplace(
        &host().loop().timers(), [](void* self) { static_cast<Slot*>(self)->filter_->OnTimer(); },
        this);
  }
  timer_->Start(delay_ns);
}

void FilterChain::Slot::StopTimer() { timer_.reset(); }

void FilterChain::Slot::Reply(const LocalReply& reply) { host().OnChainReply(reply); }

}  // namespace remora::proxy
