// What each node is to be told: its resources as encoded messages with
// versions, made from the services and the identities' certificates when the
// node first asks and again whenever either changes.
//
// The server's loop owns the cache and everything in it; the node resources it
// gives out are const and shared.
#ifndef REMORA_XDS_CONTROL_CACHE_H_
#define REMORA_XDS_CONTROL_CACHE_H_

#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "xds/control/ca.h"
#include "xds/control/resources.h"
#include "xds/control/services.h"

namespace remora::control {

class Cache {
 public:
  // `ca` outlives the cache. `ttl` is how long a certificate lives; it is
  // renewed at half of that.
  Cache(const CertificateAuthority* ca, absl::Duration ttl) : ca_(ca), ttl_(ttl) {}

  void SetServices(Services services, absl::Time now);

  // The node's resources of the moment. An id that the services do not name
  // has none, not even an identity.
  std::shared_ptr<const NodeResources> Get(const NodeId& node, absl::Time now);

  // Renews what is due, and forgets nodes that nobody holds resources of any
  // more. True if any node's resources may have changed.
  bool Tick(absl::Time now);
  // When Tick has next to be called; InfiniteFuture if there is nothing to do.
  absl::Time NextTick() const;

 private:
  struct Identity {
    Certificate certificate;
    absl::Time renew_at;
  };

  std::shared_ptr<const NodeResources> Build(const NodeId& node, absl::Time now);
  // Null when it cannot be made, which is logged.
  const Certificate* IdentityOf(const std::string& name, absl::Time now);

  const CertificateAuthority* ca_;
  const absl::Duration ttl_;
  Services services_;
  std::map<std::string, Identity> identities_;
  std::map<NodeId, std::shared_ptr<const NodeResources>> nodes_;
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_CACHE_H_
