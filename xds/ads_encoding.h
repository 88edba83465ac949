#ifndef REMORA_XDS_ADS_ENCODING_H_
#define REMORA_XDS_ADS_ENCODING_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace remora::xds {

// The two spellings of the discovery protocol. A session keeps one state (ads_session.h); this file
// turns what it wants to say into bytes and what a server says into plain values.

enum class Spelling {
  kSotw,   // state of the world: DiscoveryRequest / DiscoveryResponse
  kDelta,  // incremental: DeltaDiscoveryRequest / DeltaDiscoveryResponse
};

// What a client says about one type.
struct Request {
  std::string type_url;
  std::string node;  // serialized core.v3.Node; empty: not sent
  std::string nonce;
  // A refusal; empty: an acceptance or a subscription.
  std::string error;
  // kSotw: the version in force and every name subscribed to.
  std::string version;
  std::vector<std::string> names;
  // kDelta: changes of the subscription, and on a new stream what is already held.
  std::vector<std::string> subscribe;
  std::vector<std::string> unsubscribe;
  std::map<std::string, std::string> initial_versions;
};

// One resource of a response. `bytes` is the serialized message of `type_url`.
struct WireResource {
  std::string name;     // as the envelope says; may be empty in state of the world
  std::string version;  // kDelta only
  std::string type_url;
  std::string bytes;
  bool heartbeat = false;  // no body: the version held is confirmed
  absl::Duration ttl;      // when it is gone, unless said again; zero: never
};

struct Response {
  std::string type_url;
  std::string version;
  std::string nonce;
  std::vector<WireResource> resources;
  std::vector<std::string> removed;  // kDelta only
  std::string control_plane;         // its identifier, for statistics
};

std::string Encode(const Request& request, Spelling spelling);
// Unwraps envelopes (service.discovery.v3.Resource) in either spelling.
absl::StatusOr<Response> Decode(absl::string_view bytes, Spelling spelling);

// The full method of the aggregated service: "/envoy.service.discovery.v3.Aggregated...".
absl::string_view AggregatedMethod(Spelling spelling);

}  // namespace remora::xds

#endif  // REMORA_XDS_ADS_ENCODING_H_
