#ifndef REMORA_PROXY_STREAM_ROUTE_STATS_H_
#define REMORA_PROXY_STREAM_ROUTE_STATS_H_

#include "proxy/base/stats.h"
#include "xds/route.h"

namespace remora::proxy {

// Gives the virtual clusters of a table ("vhost.V.vcluster.C.") and its routes with a stat_prefix
// ("vhost.V.route.R.") their blocks of RouteStat. Main, before the table is shared with workers;
// idempotent.
void RegisterRouteStats(const xds::RouteTable& table, StatStore& stats);

// The blocks of a chosen route, null where there is none.
const StatBlock* VirtualClusterStats(const xds::VirtualHost& host,
                                     const xds::VirtualCluster* matched);
const StatBlock* RouteStats(const xds::Route& route);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ROUTE_STATS_H_
