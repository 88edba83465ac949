#include "xds/control/cache.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "xds/control/mesh.h"

namespace remora::control {
namespace {

// When to try again after a certificate could not be made.
constexpr absl::Duration kRetry = absl::Seconds(5);

}  // namespace

void Cache::SetServices(Services services, absl::Time now) {
  services_ = std::move(services);
  std::erase_if(identities_, [this](const auto& entry) {
    return !services_.services.contains(entry.first) && !services_.gateways.contains(entry.first);
  });
  for (auto& [node, resources] : nodes_) resources = Build(node, now);
}

std::shared_ptr<const NodeResources> Cache::Get(const NodeId& node, absl::Time now) {
  auto [entry, fresh] = nodes_.try_emplace(node);
  if (fresh) entry->second = Build(node, now);
  return entry->second;
}

const Certificate* Cache::IdentityOf(const std::string& name, absl::Time now) {
  auto found = identities_.find(name);
  if (found != identities_.end() && now < found->second.renew_at) {
    return &found->second.certificate;
  }
  absl::StatusOr<Certificate> issued = ca_->Issue(ca_->ServiceId(name), name, now, ttl_);
  if (!issued.ok()) {
    spdlog::error("{}", issued.status().ToString());
    if (found == identities_.end()) return nullptr;
    found->second.renew_at = now + kRetry;
    return &found->second.certificate;
  }
  spdlog::info("certificate for {} until {}", ca_->ServiceId(name),
               absl::FormatTime(absl::RFC3339_sec, issued->not_after, absl::UTCTimeZone()));
  Identity& identity = identities_[name];
  identity = {*std::move(issued), now + ttl_ / 2};
  return &identity.certificate;
}

std::shared_ptr<const NodeResources> Cache::Build(const NodeId& node, absl::Time now) {
  if (!services_.services.contains(node.name) && !services_.gateways.contains(node.name)) {
    return std::make_shared<const NodeResources>();
  }
  const Certificate* certificate = IdentityOf(node.name, now);
  if (certificate == nullptr) return std::make_shared<const NodeResources>();
  return std::make_shared<const NodeResources>(
      BuildResources(services_, node, {ca_->trust_domain(), ca_->bundle(), *certificate}));
}

bool Cache::Tick(absl::Time now) {
  std::erase_if(nodes_, [](const auto& entry) { return entry.second.use_count() == 1; });
  bool changed = false;
  for (auto& [node, resources] : nodes_) {
    auto identity = identities_.find(node.name);
    if (identity == identities_.end() || now < identity->second.renew_at) {
      continue;
    }
    changed = true;
  }
  // Renewed while building, once for all nodes of the name.
  if (changed) {
    for (auto& [node, resources] : nodes_) resources = Build(node, now);
  }
  std::erase_if(identities_, [this, now](const auto& entry) {
    return now >= entry.second.renew_at &&
           std::none_of(nodes_.begin(), nodes_.end(),
                        [&](const auto& node) { return node.first.name == entry.first; });
  });
  return changed;
}

absl::Time Cache::NextTick() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [name, identity] : identities_) {
    next = std::min(next, identity.renew_at);
  }
  return next;
}

}  // namespace remora::control
