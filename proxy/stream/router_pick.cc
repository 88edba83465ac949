// What the router tells a cluster when it picks a host: hash, labels, hosts and priorities to
// avoid, addresses that the request names.

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "proxy/stream/router_exchange.h"
#include "proxy/upstream/worker_view.h"
#include "xds/lb_labels.h"

namespace remora::proxy {
namespace {

bool RejectedByRetry(const void* retry, const lb::HostEntry& entry) {
  return static_cast<const Retry*>(retry)->Rejects(entry);
}

// "10.0.0.1:80" or "[::1]:80".
std::optional<lb::SocketAddress> ParseAuthority(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) ||
      port > 65535) {
    return std::nullopt;
  }
  absl::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  auto address = lb::SocketAddress::Ip(host, static_cast<uint16_t>(port));
  if (!address.ok()) return std::nullopt;
  return *std::move(address);
}

const std::string* TextAt(const Metadata* metadata, const std::string& space,
                          const std::vector<std::string>& path) {
  const MetadataValue* value = metadata == nullptr ? nullptr : metadata->Find(space, path);
  return value == nullptr ? nullptr : value->text();
}

}  // namespace

Picked Exchange::PickHost() {
  lb::PickContext context(host_->view().random(), lb::TimePoint(host_->loop().now_ns()));
  context.has_hash = hash_.has_value();
  context.hash = hash_.value_or(0);
  context.cluster_rq_active = cluster_->breakers(priority()).counter(health::Resource::kRequests);
  if (attempts_ > 1) {
    context.predicate = {&RejectedByRetry, &retry_};
    context.max_reselections = retry_.max_reselections();
    AvoidTriedPriorities(&context);
  }
  const xds::Cluster& config = cluster_->config();
  if (config.policy.subset != nullptr) context.criteria = CriteriaOfRequest();
  if (!config.override_sources.empty()) {
    if (const lb::HostEntry* entry = NamedHost()) {
      return {lb::Choice{entry->host.get(), entry}, cluster_.get()};
    }
  }
  PickWish wish;
  const HostOverride named = host_->host_override();
  wish.override_host = named.address;
  wish.override_strict = named.strict;
  std::optional<lb::SocketAddress> destination;
  if (config.type == xds::Cluster::Type::kOriginalDst) {
    destination = Destination();
    if (destination.has_value()) wish.destination = &*destination;
  }
  return cluster_->PickHost(context, wish);
}

// Metadata that filters left goes before the route's.
const lb::Criteria* Exchange::CriteriaOfRequest() {
  const Metadata* noted = info().dynamic_metadata;
  if (noted != nullptr && noted->namespaces.contains(xds::kLbNamespace)) {
    const Metadata& route =
        weighted_ != nullptr ? weighted_->metadata_match : action_->metadata_match;
    own_criteria_ = xds::CriteriaFrom(route, *noted);
    return own_criteria_.get();
  }
  return weighted_ != nullptr ? weighted_->criteria.get() : action_->criteria.get();
}

// The override_host policy: the next address, of the first source that has any, which is one of
// the cluster's, healthy or not. Each try goes on where the last one was.
const lb::HostEntry* Exchange::NamedHost() {
  absl::string_view list;
  for (const xds::OverrideHostSource& source : cluster_->config().override_sources) {
    if (!source.header.empty()) {
      list = headers_->Get(source.header).value_or(absl::string_view());
    } else if (const std::string* text =
                   TextAt(info().dynamic_metadata, source.metadata_namespace, source.path)) {
      list = *text;
    }
    if (!list.empty()) break;
  }
  uint32_t at = 0;
  for (const absl::string_view address : absl::StrSplit(list, ',')) {
    if (at++ < named_hosts_tried_) continue;
    named_hosts_tried_ = at;
    const lb::HostEntry* entry = cluster_->FindHost(absl::StripAsciiWhitespace(address));
    if (entry != nullptr) return entry;
  }
  return nullptr;
}

std::optional<lb::SocketAddress> Exchange::Destination() {
  const xds::OriginalDstSettings& settings = cluster_->config().original_dst;
  const auto read = [this](absl::string_view text) {
    auto address = ParseAuthority(text);
    if (!address.has_value()) stats().Add(ClusterStat::kOriginalDstHostInvalid);
    return address;
  };
  std::optional<lb::SocketAddress> address;
  if (settings.use_http_header) {
    const auto value = headers_->Get(settings.http_header_name);
    if (value.has_value() && !value->empty()) address = read(*value);
  }
  if (!address.has_value() && !settings.metadata_namespace.empty()) {
    const std::string* text =
        TextAt(info().dynamic_metadata, settings.metadata_namespace, settings.metadata_path);
    if (text != nullptr) address = read(*text);
  }
  const ConnectionInfo* downstream = info().downstream;
  if (!address.has_value() && downstream != nullptr && downstream->local_restored) {
    address = ParseAuthority(downstream->local.ToString());
  }
  if (address.has_value() && settings.port_override != 0 && address->port() != 0) {
    std::string host = address->ToString();
    host.resize(host.rfind(':'));
    return ParseAuthority(absl::StrCat(host, ":", settings.port_override));
  }
  return address;
}

// Envoy's previous_priorities: after every so many tries the priorities tried so far get no load,
// until none is left.
void Exchange::AvoidTriedPriorities(lb::PickContext* context) {
  const xds::RetryPolicy* policy = retry_policy();
  if (policy == nullptr || !policy->previous_priorities_frequency.has_value()) return;
  const int32_t frequency = *policy->previous_priorities_frequency;
  const size_t tried = tried_priorities_.size();
  if (frequency <= 0 || tried < static_cast<size_t>(frequency)) return;
  if (tried % static_cast<size_t>(frequency) == 0) {
    const lb::PriorityState& state = cluster_->cluster().policy->priorities();
    auto health = state.health;
    auto degraded = state.degraded_health;
    for (const uint32_t priority : tried_priorities_) {
      if (priority < health.size()) health[priority] = degraded[priority] = 0;
    }
    untried_load_ = lb::DistributeLoad(health, degraded);
    const auto any = [](uint32_t load) { return load != 0; };
    const bool left =
        absl::c_any_of(untried_load_.healthy, any) || absl::c_any_of(untried_load_.degraded, any);
    if (!left) {
      tried_priorities_.clear();
      untried_load_ = state.load;
    }
  }
  if (!untried_load_.healthy.empty()) context->priority_load = &untried_load_;
}

}  // namespace remora::proxy
