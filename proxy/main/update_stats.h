#ifndef REMORA_PROXY_MAIN_UPDATE_STATS_H_
#define REMORA_PROXY_MAIN_UPDATE_STATS_H_

#include "proxy/base/stats.h"
#include "xds/catalog.h"
#include "xds/subscriptions.h"

namespace remora::proxy {

// Counts what happened to a subscription under Envoy's names: "cluster_manager.cds.update_success",
// "listener_manager.lds.…", "cluster.CLUSTER.update_…" (EDS), "http.PREFIX.rds.ROUTE.…" for every
// connection manager that uses the table, "sds.NAME.…". Main thread.
void CountUpdate(const xds::UpdateEvent& event, const xds::Catalog& catalog, StatStore& stats);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_UPDATE_STATS_H_
