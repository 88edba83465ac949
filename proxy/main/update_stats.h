#ifndef REMORA_PROXY_MAIN_UPDATE_STATS_H_
#define REMORA_PROXY_MAIN_UPDATE_STATS_H_

#include <string>

#include "proxy/base/stats.h"
#include "xds/subscriptions.h"

namespace remora::proxy {

// Counts what happened to a subscription under Envoy's names: "cluster_manager.cds.update_success",
// "listener_manager.lds.…", "cluster.NAME.update_…" (EDS), "http.rds.NAME.…", "sds.NAME.…". Main thread.
void CountUpdate(const xds::UpdateEvent& event, const std::string& version, StatStore& stats);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_UPDATE_STATS_H_
