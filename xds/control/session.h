// The discovery protocol of one stream, without the stream: requests go in,
// responses come out, whenever the stream can write. Pure: no clock, no
// threads, no protobuf; the server's loop owns it.
//
// What it takes care of:
//  - one open response per type; a changed world waits for the answer;
//  - order, make before break: listeners and routes are not told before the
//    clusters and endpoints they may name have been answered, and clusters
//    that are gone stay until the routes that left them have been answered;
//  - endpoints are told again after their cluster was, because a client warms
//    a changed cluster with a fresh assignment;
//  - a rejected response is not repeated; the next change is told as usual.
#ifndef REMORA_XDS_CONTROL_SESSION_H_
#define REMORA_XDS_CONTROL_SESSION_H_

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "xds/control/resources.h"
#include "xds/control/subscription.h"

namespace remora::control {

struct DiscoveryAsk {
  std::string type_url;
  std::string nonce;                         // of the response that this answers; empty: of none
  std::optional<std::string> error;          // why that response was rejected
  std::vector<std::string> names;            // kSotw: all; kDelta: added
  std::vector<std::string> unsubscribe;      // kDelta
  std::map<std::string, std::string> known;  // kDelta, first of a stream
};

struct DiscoveryAnswer {
  Type type;
  std::string version;  // of the whole
  std::string nonce;
  std::vector<std::pair<std::string, ResourcePtr>> resources;
  std::vector<std::string> removed;
};

class Session {
 public:
  explicit Session(Spelling spelling);

  Spelling spelling() const { return spelling_; }

  // The client's next request. The status ends the stream; the value is the
  // reason of a rejection that is to be told to the operator.
  absl::StatusOr<std::optional<std::string>> OnAsk(const DiscoveryAsk& ask, absl::Time now);

  void SetResources(std::shared_ptr<const NodeResources> resources);

  // What to write next, if anything.
  std::optional<DiscoveryAnswer> Next(absl::Time now);
  // When Next may answer differently although nothing has happened.
  absl::Time NextCheck() const { return hold_until_; }

 private:
  Subscription& Of(Type type) { return subs_[static_cast<size_t>(type)]; }
  // The node's resources and those kept until nothing names them.
  const ResourceMap& Effective(Type type) const;
  bool Held(Type type, absl::Time now);
  bool Settled();
  DiscoveryAnswer Answer(Type type, Due due, absl::Time now);

  const Spelling spelling_;
  std::array<Subscription, kTypes> subs_;
  std::shared_ptr<const NodeResources> resources_;
  // Clusters (and their endpoints) that the world no longer has. Empty, or
  // merged_ holds them together with the world's.
  bool keeping_ = false;
  NodeResources merged_;
  uint64_t answers_ = 0;
  absl::Time hold_until_ = absl::InfiniteFuture();
};

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_SESSION_H_
