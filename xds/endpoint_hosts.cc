#include <algorithm>

#include "absl/strings/str_cat.h"
#include "xds/endpoint.h"
#include "xds/lb_labels.h"

namespace remora::xds {
namespace {

absl::StatusOr<lb::SocketAddress> Resolve(const AddressSpec& address, uint16_t port) {
  switch (address.kind) {
    case AddressSpec::Kind::kSocket: {
      absl::StatusOr<lb::SocketAddress> resolved = lb::SocketAddress::Ip(address.host, port);
      if (resolved.ok()) return resolved;
      return absl::InvalidArgumentError(
          absl::StrCat("malformed IP address: ", address.host,
                       ". Consider setting resolver_name or setting cluster type to "
                       "'STRICT_DNS' or 'LOGICAL_DNS'"));
    }
    case AddressSpec::Kind::kPipe:
      return lb::SocketAddress::Pipe(address.host);
    case AddressSpec::Kind::kInternal:
      break;
  }
  return absl::UnimplementedError(
      absl::StrCat(address.ToString(), " is not an address to connect to"));
}

// The value of metadata `envoy.lb` / `key`, or null.
const MetadataValue* LbMetadata(const Endpoint& endpoint, const char* key) {
  return endpoint.metadata == nullptr ? nullptr : endpoint.metadata->Find("envoy.lb", {key});
}

absl::StatusOr<std::shared_ptr<const lb::HealthCheckTarget>> CheckTarget(const Endpoint& endpoint) {
  const bool elsewhere =
      endpoint.health_check_port != 0 || endpoint.health_check_address.has_value();
  if (!elsewhere && endpoint.health_check_hostname.empty() && !endpoint.health_check_disabled) {
    return nullptr;
  }
  auto target = std::make_shared<lb::HealthCheckTarget>();
  target->hostname = endpoint.health_check_hostname;
  target->disabled = endpoint.health_check_disabled;
  if (elsewhere) {
    const AddressSpec& base = endpoint.health_check_address.value_or(endpoint.address);
    const uint32_t port = endpoint.health_check_port != 0 ? endpoint.health_check_port : base.port;
    absl::StatusOr<lb::SocketAddress> address = Resolve(base, static_cast<uint16_t>(port));
    if (!address.ok()) return address.status();
    target->address = std::make_unique<const lb::SocketAddress>(*std::move(address));
  }
  return target;
}

// Null when there is nothing but defaults.
absl::StatusOr<std::shared_ptr<const lb::HostAttributes>> Attributes(const Endpoint& endpoint,
                                                                     bool resolved) {
  auto out = std::make_shared<lb::HostAttributes>();
  out->hostname = endpoint.hostname;
  if (resolved && out->hostname.empty()) out->hostname = endpoint.address.host;
  const MetadataValue* hash_key = LbMetadata(endpoint, "hash_key");
  if (hash_key != nullptr && hash_key->text() != nullptr) {
    out->hash_key = *hash_key->text();
  }
  const MetadataValue* canary = LbMetadata(endpoint, "canary");
  out->canary = canary != nullptr && canary->boolean() != nullptr && *canary->boolean();
  out->metadata = endpoint.metadata;
  if (endpoint.metadata != nullptr) out->labels = LabelsFrom(*endpoint.metadata);
  absl::StatusOr<std::shared_ptr<const lb::HealthCheckTarget>> check =
      // A name's checks go to the address that it stands for.
      resolved && !endpoint.health_check_address.has_value() && endpoint.health_check_port != 0
          ? std::shared_ptr<const lb::HealthCheckTarget>()
          : CheckTarget(endpoint);
  if (!check.ok()) return check.status();
  out->health_check = *std::move(check);
  for (const AddressSpec& address : endpoint.additional_addresses) {
    absl::StatusOr<lb::SocketAddress> more = Resolve(address, address.port);
    if (!more.ok()) return more.status();
    out->additional_addresses.push_back(*std::move(more));
  }
  const bool plain = out->hostname.empty() && out->hash_key.empty() && !out->canary &&
                     out->metadata == nullptr && out->health_check == nullptr &&
                     out->additional_addresses.empty();
  if (plain) return nullptr;
  return out;
}

// The probe's address of a host that came by name: its own with another port.
std::shared_ptr<const lb::HostAttributes> WithCheckPort(
    const std::shared_ptr<const lb::HostAttributes>& attributes, const Endpoint& endpoint,
    const lb::SocketAddress& address) {
  if (endpoint.health_check_port == 0 || endpoint.health_check_address.has_value()) {
    return attributes;
  }
  auto out = attributes == nullptr ? std::make_shared<lb::HostAttributes>()
                                   : std::make_shared<lb::HostAttributes>(*attributes);
  auto target = std::make_shared<lb::HealthCheckTarget>();
  target->hostname = endpoint.health_check_hostname;
  target->disabled = endpoint.health_check_disabled;
  const std::string text = address.ToString();
  const size_t colon = text.rfind(':');
  std::string ip = text.substr(0, colon);
  if (!ip.empty() && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  absl::StatusOr<lb::SocketAddress> probed =
      lb::SocketAddress::Ip(ip, static_cast<uint16_t>(endpoint.health_check_port));
  if (probed.ok()) {
    target->address = std::make_unique<const lb::SocketAddress>(*std::move(probed));
  }
  out->health_check = std::move(target);
  return out;
}

void SetEdsFlags(EdsHealth health, lb::HostState& state) {
  const auto put = [&](lb::HealthFlag flag, bool on) {
    if (on) {
      state.SetFlag(flag);
    } else {
      state.ClearFlag(flag);
    }
  };
  put(lb::kFailedEdsHealth, health == EdsHealth::kUnhealthy || health == EdsHealth::kTimeout);
  put(lb::kDegradedEdsHealth, health == EdsHealth::kDegraded);
  put(lb::kEdsStatusDraining, health == EdsHealth::kDraining);
}

// One update of a cluster's hosts.
class HostBuilder {
 public:
  HostBuilder(const ClusterLoadAssignment& assignment, const HostMap& known,
              const HostUpdateOptions& options, const EndpointResolver& resolved)
      : assignment_(assignment),
        known_(known),
        options_(options),
        resolved_(resolved),
        table_({assignment.overprovisioning_factor, assignment.weighted_priority_health,
                options.local}) {}

  absl::StatusOr<HostUpdate> Build() {
    for (const LocalityEndpoints& locality : assignment_.localities) {
      absl::Status status = AddLocality(locality);
      if (!status.ok()) return status;
    }
    for (const auto& [address, known] : known_) {
      if (!update_.hosts.contains(address)) Leave(address, known);
    }
    // The map has no order; the kept ones come by address.
    std::sort(kept_.begin(), kept_.end());
    for (const std::string& address : kept_) AddToTable(update_.hosts[address]);
    update_.table = table_.Build();
    return std::move(update_);
  }

 private:
  absl::Status AddLocality(const LocalityEndpoints& locality) {
    if (locality.weight.has_value()) {
      table_.SetLocalityWeight(locality.priority, locality.locality, *locality.weight);
    }
    const auto name = std::make_shared<const lb::Locality>(locality.locality);
    for (const Endpoint& endpoint : locality.endpoints) {
      absl::StatusOr<std::shared_ptr<const lb::HostAttributes>> attributes =
          Attributes(endpoint, resolved_ != nullptr);
      if (!attributes.ok()) return attributes.status();
      if (resolved_ != nullptr) {
        for (lb::SocketAddress& address : resolved_(endpoint)) {
          auto own = WithCheckPort(*attributes, endpoint, address);
          Add(endpoint, std::move(own), name, locality.priority, std::move(address));
        }
        continue;
      }
      absl::StatusOr<lb::SocketAddress> address = Resolve(endpoint.address, endpoint.address.port);
      if (!address.ok()) return address.status();
      Add(endpoint, *attributes, name, locality.priority, *std::move(address));
    }
    return absl::OkStatus();
  }

  void Add(const Endpoint& endpoint, std::shared_ptr<const lb::HostAttributes> attributes,
           std::shared_ptr<const lb::Locality> locality, uint32_t priority,
           lb::SocketAddress address) {
    std::string text = address.ToString();
    const auto [place, added] = update_.hosts.try_emplace(text);
    if (!added) return;  // of the same address twice, the first counts
    KnownHost& host = place->second;
    const auto known = known_.find(text);
    if (known != known_.end()) {
      host.host = known->second.host;
      host.host->state().ClearFlag(lb::kPendingDynamicRemoval);
    } else {
      host.host = std::make_shared<lb::Host>(std::move(address));
      update_.added.push_back(host.host);
      if (options_.active_health_checks && !endpoint.health_check_disabled) {
        host.host->state().SetFlag(lb::kFailedActiveHc);
      }
    }
    SetEdsFlags(endpoint.health, host.host->state());
    host.attributes = std::move(attributes);
    host.locality = std::move(locality);
    host.weight = endpoint.weight;
    host.priority = priority;
    AddToTable(host);
  }

  void AddToTable(const KnownHost& host) {
    table_.Add(host.host, host.weight, host.priority, *host.locality, host.attributes);
  }

  void Leave(const std::string& address, const KnownHost& known) {
    if (options_.keep_removed != nullptr && options_.keep_removed(*known.host)) {
      known.host->state().SetFlag(lb::kPendingDynamicRemoval);
      kept_.push_back(address);
      update_.hosts.emplace(address, known);
      return;
    }
    update_.removed.push_back(known.host);
  }

  const ClusterLoadAssignment& assignment_;
  const HostMap& known_;
  const HostUpdateOptions& options_;
  const EndpointResolver& resolved_;
  lb::HostTable::Builder table_;
  std::vector<std::string> kept_;
  HostUpdate update_;
};

}  // namespace

absl::StatusOr<HostUpdate> BuildHosts(const ClusterLoadAssignment& assignment, const HostMap& known,
                                      const HostUpdateOptions& options,
                                      const EndpointResolver& resolved) {
  return HostBuilder(assignment, known, options, resolved).Build();
}

}  // namespace remora::xds
