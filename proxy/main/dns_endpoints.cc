#include "proxy/main/dns_endpoints.h"

#include <algorithm>
#include <utility>

#include "health/backoff.h"

namespace remora::proxy {
namespace {

DnsResolver::Family FamilyOf(xds::DnsSettings::Family family) {
  switch (family) {
    case xds::DnsSettings::Family::kV4Only:
      return DnsResolver::Family::kV4Only;
    case xds::DnsSettings::Family::kV6Only:
      return DnsResolver::Family::kV6Only;
    case xds::DnsSettings::Family::kV4Preferred:
      return DnsResolver::Family::kV4Preferred;
    case xds::DnsSettings::Family::kAll:
      return DnsResolver::Family::kAll;
    case xds::DnsSettings::Family::kAuto:
      break;
  }
  return DnsResolver::Family::kAuto;
}

health::Backoff FailureBackoff(const xds::DnsSettings& settings) {
  const auto base =
      absl::ToChronoNanoseconds(settings.failure_refresh_base.value_or(settings.refresh_rate));
  const auto most = settings.failure_refresh_max
                        ? absl::ToChronoNanoseconds(*settings.failure_refresh_max)
                        : base * 10;
  return health::Backoff(base, std::max(base, most));
}

}  // namespace

struct DnsEndpoints::Name {
  Name(DnsEndpoints* owner, std::string host)
      : owner(owner),
        host(std::move(host)),
        backoff(FailureBackoff(owner->config_->dns)),
        timer(
            &owner->loop_->timers(),
            [](void* self) {
              auto* name = static_cast<Name*>(self);
              name->owner->Ask(*name);
            },
            this) {}

  DnsEndpoints* owner;
  std::string host;
  std::vector<Address> addresses;
  bool answered = false;
  health::Backoff backoff;
  std::unique_ptr<DnsQuery> query;
  Timer timer;
};

DnsEndpoints::DnsEndpoints(Loop* loop, DnsResolver* resolver,
                           std::shared_ptr<const xds::Cluster> config, uint64_t seed, Hooks hooks)
    : loop_(loop),
      resolver_(resolver),
      config_(std::move(config)),
      random_(seed),
      hooks_(std::move(hooks)) {
  if (config_->load_assignment == nullptr) return;
  for (const xds::LocalityEndpoints& locality : config_->load_assignment->localities) {
    for (const xds::Endpoint& endpoint : locality.endpoints) {
      const std::string& host = endpoint.address.host;
      if (endpoint.address.kind != xds::AddressSpec::Kind::kSocket || names_.count(host) > 0)
        continue;
      names_[host] = std::make_unique<Name>(this, host);
    }
  }
  for (const auto& [host, name] : names_) Ask(*name);
}

DnsEndpoints::~DnsEndpoints() = default;

bool DnsEndpoints::resolved_once() const {
  return std::all_of(names_.begin(), names_.end(),
                     [](const auto& entry) { return entry.second->answered; });
}

void DnsEndpoints::Ask(Name& name) {
  hooks_.on_attempt();
  name.query =
      resolver_->Resolve(name.host, FamilyOf(config_->dns.family),
                         [this, &name](DnsAnswer answer) { OnAnswer(name, std::move(answer)); });
}

int64_t DnsEndpoints::NextDelay(Name& name, const DnsAnswer& answer) {
  if (!answer.status.ok()) return name.backoff.Next(random_).count();
  name.backoff.Reset();
  absl::Duration delay = config_->dns.refresh_rate;
  if (config_->dns.respect_ttl && answer.ttl.count() > 0) delay = absl::Seconds(answer.ttl.count());
  const int64_t jitter = absl::ToInt64Nanoseconds(config_->dns.jitter);
  return absl::ToInt64Nanoseconds(delay) +
         (jitter > 0 ? static_cast<int64_t>(random_.Below(jitter)) : 0);
}

void DnsEndpoints::OnAnswer(Name& name, DnsAnswer answer) {
  name.query.reset();
  const bool first = !name.answered;
  name.answered = true;
  name.timer.Start(NextDelay(name, answer));
  hooks_.on_answer(answer.status.ok());
  bool changed = false;
  if (answer.status.ok()) {
    if (config_->type == xds::Cluster::Type::kLogicalDns && answer.addresses.size() > 1)
      answer.addresses.resize(1);
    // The resolver rotates its answers; an order of our own keeps the hosts' rotation steady.
    std::sort(answer.addresses.begin(), answer.addresses.end(),
              [](const Address& a, const Address& b) { return a.ip_bytes() < b.ip_bytes(); });
    changed = answer.addresses != name.addresses;
    name.addresses = std::move(answer.addresses);
  }
  if (changed || (first && resolved_once())) hooks_.on_change();
}

std::vector<lb::SocketAddress> DnsEndpoints::AddressesOf(const xds::Endpoint& endpoint) const {
  std::vector<lb::SocketAddress> out;
  const auto found = names_.find(endpoint.address.host);
  if (found == names_.end()) return out;
  for (Address address : found->second->addresses) {
    address.set_port(endpoint.address.port);
    absl::StatusOr<lb::SocketAddress> converted =
        lb::SocketAddress::FromSockaddr(address.sockaddr_ptr(), address.sockaddr_size());
    if (converted.ok()) out.push_back(*std::move(converted));
  }
  return out;
}

}  // namespace remora::proxy
