#ifndef REMORA_XDS_ENDPOINT_H_
#define REMORA_XDS_ENDPOINT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "filters/metadata.h"
#include "filters/runtime.h"
#include "lb/host.h"
#include "lb/host_set.h"
#include "xds/address.h"
#include "xds/parse_context.h"

namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace remora::xds {

// Health as the control plane says it. Unknown counts as healthy.
enum class EdsHealth { kUnknown, kHealthy, kUnhealthy, kDraining, kTimeout, kDegraded };

struct Endpoint {
  AddressSpec address;
  std::vector<AddressSpec> additional_addresses;
  std::string hostname;
  uint32_t weight = 1;
  EdsHealth health = EdsHealth::kUnknown;
  std::shared_ptr<const Metadata> metadata;  // null when there is none
  // health_check_config
  uint32_t health_check_port = 0;  // zero: the address's own
  std::string health_check_hostname;
  std::optional<AddressSpec> health_check_address;
  bool health_check_disabled = false;
};

struct LocalityEndpoints {
  lb::Locality locality;
  uint32_t priority = 0;
  std::optional<uint32_t> weight;  // absent: no traffic when localities are balanced by weight
  std::shared_ptr<const Metadata> metadata;
  std::vector<Endpoint> endpoints;
};

struct DropOverload {
  std::string category;
  FractionalPercent share;
};

// One EDS resource, or the inline assignment of a cluster.
struct ClusterLoadAssignment {
  std::string cluster_name;
  std::vector<LocalityEndpoints> localities;  // as the control plane ordered them
  std::vector<DropOverload> drop_overloads;   // at most one
  uint32_t overprovisioning_factor = 140;
  bool weighted_priority_health = false;
  absl::Duration stale_after;  // zero: never
  std::string original;        // serialized, for /config_dump?include_eds

  static absl::StatusOr<std::shared_ptr<const ClusterLoadAssignment>> Parse(
      const envoy::config::endpoint::v3::ClusterLoadAssignment& proto, ParseContext& context);

  size_t endpoint_count() const;
};

// A host and what the last assignment that named it said of it.
struct KnownHost {
  std::shared_ptr<lb::Host> host;
  std::shared_ptr<const lb::HostAttributes> attributes;  // null: all defaults
  std::shared_ptr<const lb::Locality> locality;
  uint32_t weight = 1;
  uint32_t priority = 0;
};

// The hosts of a cluster by printed address, kept on main from one update to
// the next so that an address that stays keeps its `lb::Host`, and with it its
// tallies, pools and verdicts.
using HostMap = absl::flat_hash_map<std::string, KnownHost>;

struct HostUpdate {
  std::shared_ptr<const lb::HostTable> table;
  HostMap hosts;  // all of the table's, for the next update
  std::vector<std::shared_ptr<lb::Host>> added;
  std::vector<std::shared_ptr<lb::Host>> removed;
};

struct HostUpdateOptions {
  lb::Locality local;                 // of this proxy
  bool active_health_checks = false;  // new hosts start as failed (pending) until they pass
  // Hosts of `known` to keep although the assignment no longer names them (they still pass health
  // checks); null: none.
  std::function<bool(const lb::Host&)> keep_removed;
};

// The assignment's endpoints as a host table. Hosts of `known` are reused by address; EDS health is
// set in their flags. Endpoints whose address is not an IP or a pipe are errors, except that
// `resolved` says what a name stands for (STRICT_DNS, LOGICAL_DNS): it is called for each endpoint
// and returns its addresses; null: addresses are literals. Main thread.
using EndpointResolver = std::function<std::vector<lb::SocketAddress>(const Endpoint&)>;
absl::StatusOr<HostUpdate> BuildHosts(const ClusterLoadAssignment& assignment, const HostMap& known,
                                      const HostUpdateOptions& options,
                                      const EndpointResolver& resolved = nullptr);

}  // namespace remora::xds

#endif  // REMORA_XDS_ENDPOINT_H_
