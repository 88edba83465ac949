#ifndef REMORA_FILTERS_API_CLUSTER_HEALTH_H_
#define REMORA_FILTERS_API_CLUSTER_HEALTH_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace remora {

// How the hosts of clusters are, for filters that answer for them. A FilterContext may be one of
// these as well.
class ClusterHealth {
 public:
  struct Hosts {
    uint64_t total = 0;
    uint64_t usable = 0;  // healthy or degraded
  };
  // Nothing for a cluster that is not there.
  virtual std::optional<Hosts> HostsOf(absl::string_view cluster) const = 0;

 protected:
  ~ClusterHealth() = default;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_CLUSTER_HEALTH_H_
