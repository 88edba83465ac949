#include "proxy/main/admin/endpoints_in_force.h"

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "proxy/main/admin/proto_address.h"

namespace remora::proxy {
namespace {

using envoy::config::core::v3::HealthStatus;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;
using envoy::config::endpoint::v3::LocalityLbEndpoints;

HealthStatus StatusOf(uint32_t flags) {
  switch (lb::CoarseHealth(flags)) {
    case lb::Health::kHealthy:
      return HealthStatus::HEALTHY;
    case lb::Health::kDegraded:
      return HealthStatus::DEGRADED;
    case lb::Health::kUnhealthy:
      break;
  }
  return HealthStatus::UNHEALTHY;
}

void Describe(const lb::HostEntry& entry, LbEndpoint* out) {
  const lb::SocketAddress& address = entry.host->address();
  SetProtoAddress(Address::FromSockaddr(address.get(), address.length()),
                  out->mutable_endpoint()->mutable_address());
  out->mutable_endpoint()->set_hostname(entry.attributes->hostname);
  out->mutable_endpoint()->mutable_health_check_config();
  out->set_health_status(StatusOf(entry.host->state().flags.load(std::memory_order_relaxed)));
  out->mutable_load_balancing_weight()->set_value(entry.weight);
}

}  // namespace

std::string EndpointsInForce(const Cluster& cluster) {
  ClusterLoadAssignment out;
  out.set_cluster_name(cluster.config->eds_service_name.empty() ? cluster.name()
                                                                : cluster.config->eds_service_name);
  const lb::HostSet& hosts = cluster.policy->hosts();
  out.mutable_policy()->mutable_overprovisioning_factor()->set_value(
      hosts.overprovisioning_factor());
  for (uint32_t priority = 0; priority < hosts.priorities().size(); ++priority) {
    for (const lb::LocalityHosts& locality : hosts.priorities()[priority].localities) {
      LocalityLbEndpoints* group = out.add_endpoints();
      group->mutable_locality()->set_region(locality.locality.region);
      group->mutable_locality()->set_zone(locality.locality.zone);
      group->mutable_locality()->set_sub_zone(locality.locality.sub_zone);
      group->set_priority(priority);
      group->mutable_load_balancing_weight()->set_value(locality.weight);
      const lb::HostList& list = hosts.list(locality.all);
      for (size_t i = 0; i < list.size(); ++i) {
        Describe(hosts.entry(list.At(i)), group->add_lb_endpoints());
      }
    }
  }
  return out.SerializeAsString();
}

}  // namespace remora::proxy
