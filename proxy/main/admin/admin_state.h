#ifndef REMORA_PROXY_MAIN_ADMIN_ADMIN_STATE_H_
#define REMORA_PROXY_MAIN_ADMIN_ADMIN_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "filters/api/address.h"
#include "filters/runtime.h"
#include "health/outlier.h"
#include "proxy/base/stats.h"
#include "proxy/main/options.h"
#include "proxy/main/server_state.h"
#include "proxy/net/certificate_facts.h"
#include "proxy/upstream/cluster.h"
#include "xds/bootstrap.h"
#include "xds/catalog.h"

namespace remora::proxy {

// A cluster as /clusters shows it.
struct AdminCluster {
  std::shared_ptr<const Cluster> cluster;
  bool added_via_api = false;
  // Of the last sweep; absent without outlier detection.
  struct Outlier {
    health::OutlierDetector::SuccessRates answers;
    health::OutlierDetector::SuccessRates local_origin;
  };
  std::optional<Outlier> outlier;
};

// A listener with the addresses it is bound to; the first is its main one.
struct AdminListener {
  std::string name;
  std::vector<Address> addresses;
};

// What the admin pages show and act on; the process as they see it.
//
// Threads: main. Lifetime: outlives the pages.
class AdminState {
 public:
  virtual StatStore& stats() = 0;
  // Gauges that are computed, not counted, are brought up to date.
  virtual void RefreshGauges() = 0;
  virtual const Options& options() = 0;
  virtual const xds::Bootstrap& bootstrap() = 0;
  virtual const xds::Catalog& catalog() = 0;
  // By name.
  virtual std::vector<AdminCluster> clusters() = 0;
  // In the order of configuration.
  virtual std::vector<AdminListener> listeners() = 0;
  // Those that were replaced or removed and let their connections go.
  virtual std::vector<xds::ListenerResource> draining_listeners() = 0;
  virtual std::vector<ContextCertificates> certificates() = 0;
  virtual ServerState state() = 0;
  virtual int64_t uptime_s() = 0;
  virtual int64_t start_ms() = 0;  // since the epoch
  virtual int64_t now_s() = 0;     // since the epoch
  virtual std::shared_ptr<const Runtime> runtime() = 0;

  virtual void DrainListeners(bool inbound_only, bool graceful, bool skip_exit) = 0;
  virtual void SetHealthCheckFailing(bool failing) = 0;
  virtual void Quit() = 0;
  virtual void ReopenLogs() = 0;
  // Overrides in the admin layer; an empty value takes one back. Fails when there is no such layer.
  virtual absl::Status ModifyRuntime(
      const std::vector<std::pair<std::string, std::string>>& values) = 0;

 protected:
  ~AdminState() = default;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ADMIN_STATE_H_
