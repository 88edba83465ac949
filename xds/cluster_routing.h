#ifndef REMORA_XDS_CLUSTER_ROUTING_H_
#define REMORA_XDS_CLUSTER_ROUTING_H_

#include <optional>
#include <vector>

#include "xds/retry_policy.h"
#include "xds/route.h"

namespace remora::xds {

// What a cluster says about requests that go to it, in place of what their routes say: its
// HttpProtocolOptions, and the hash policies of its balancing policy, which come first.
struct ClusterRouting {
  std::vector<HashPolicy> hash_policies;  // empty: the route's
  std::vector<MirrorPolicy> mirrors;      // empty: the route's
  std::optional<RetryPolicy> retry;       // absent: the route's
};

}  // namespace remora::xds

#endif  // REMORA_XDS_CLUSTER_ROUTING_H_
