#include "proxy/stream/route_stats.h"

#include "absl/strings/str_cat.h"
#include "proxy/upstream/cluster_stats.h"

namespace remora::proxy {

void RegisterRouteStats(const xds::RouteTable& table, StatStore& stats) {
  for (const xds::VirtualHost& host : table.virtual_hosts()) {
    const auto block = [&](absl::string_view kind, absl::string_view name) {
      return stats.Register(absl::StrCat("vhost.", host.name, ".", kind, ".", name, "."),
                            RouteStatSchema());
    };
    for (const xds::VirtualCluster& cluster : host.virtual_clusters) {
      if (cluster.numbers == nullptr) cluster.numbers = block("vcluster", cluster.name);
    }
    if (!host.virtual_clusters.empty() && host.other_numbers == nullptr) {
      host.other_numbers = block("vcluster", "other");
    }
    for (const xds::Route& route : host.routes) {
      if (!route.stat_prefix.empty() && route.numbers == nullptr) {
        route.numbers = block("route", route.stat_prefix);
      }
    }
  }
}

const StatBlock* VirtualClusterStats(const xds::VirtualHost& host,
                                     const xds::VirtualCluster* matched) {
  return static_cast<const StatBlock*>(matched == nullptr ? host.other_numbers : matched->numbers);
}

const StatBlock* RouteStats(const xds::Route& route) {
  return static_cast<const StatBlock*>(route.numbers);
}

}  // namespace remora::proxy
