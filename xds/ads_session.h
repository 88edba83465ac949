#ifndef REMORA_XDS_ADS_SESSION_H_
#define REMORA_XDS_ADS_SESSION_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/ads_encoding.h"

namespace remora::xds {

// One client's side of the discovery protocol over one stream at a time: what it subscribes to,
// what it holds, what it must still say. Pure: no socket, no clock. The state is the same for both
// spellings and outlives streams, so that a reconnect resumes where the last stream ended.
//
// Rules (xDS protocol documentation; traps of real servers):
// - LDS and CDS start as wildcard with no names at all.
// - A response is answered exactly once, by acceptance or refusal with its nonce; answers go out
//   before subscriptions, which may follow from what was accepted.
// - Delta: an answer never changes the subscription; a change goes out without a nonce.
// - State of the world: every request carries the full list of names; one that only changes the
//   names carries the last nonce.
//
// Threads: main.
class AdsSession {
 public:
  struct Options {
    Spelling spelling = Spelling::kSotw;
    std::string node;  // serialized core.v3.Node
    bool node_on_first_message_only = false;
  };
  explicit AdsSession(Options options) : options_(std::move(options)) {}

  // Subscribes to every resource of the type. The order of first mention is the order of the first
  // requests on a stream.
  void SubscribeAll(const std::string& type_url);
  // Subscribes to exactly these names; an empty set ends the subscription.
  void SubscribeTo(const std::string& type_url, std::set<std::string> names);

  void OnStreamOpened();
  void OnStreamClosed();
  bool open() const { return open_; }
  Spelling spelling() const { return options_.spelling; }

  // A message arrived. Until Accept or Refuse is called for it, no other may be given in. An error
  // means that the stream must be closed: the bytes are no response. A response for a type that
  // nobody subscribed to comes back as nullopt and is forgotten.
  absl::StatusOr<std::optional<Response>> OnMessage(absl::string_view bytes);
  // The response was applied (in state of the world: the version is now in force).
  void Accept(const Response& response);
  // Some or all of it was refused. Resources in `refused` keep the version held before.
  void Refuse(const Response& response, const std::string& error,
              const std::set<std::string>& refused);

  // The next message to send on the open stream, if there is anything to say.
  std::optional<std::string> NextRequest();
  bool HasRequest() const;

  // The version in force of a type (state of the world), for dumps.
  std::string version(const std::string& type_url) const;

 private:
  struct Answer {
    std::string nonce;
    std::string error;
  };
  struct Type {
    std::string url;
    bool wildcard = false;
    std::set<std::string> names;
    std::string version;
    std::string nonce;                            // the last one received on this stream
    std::map<std::string, std::string> versions;  // kDelta: held, by resource
    // To be said on this stream.
    std::deque<Answer> answers;
    bool subscription_due = false;
    bool first_request = true;        // nothing was sent on this stream
    std::set<std::string> announced;  // names this stream knows of
    bool ever_subscribed = false;
  };

  Type& Find(const std::string& url);
  Type* FindExisting(absl::string_view url);
  bool SubscriptionDue(const Type& type) const;
  std::string Say(Type& type);
  Request MakeSotw(Type& type);
  Request MakeDelta(Type& type);
  void AddSubscriptionChange(Type& type, Request& request);
  void StoreVersions(Type& type, const Response& response, const std::set<std::string>& refused);

  Options options_;
  std::vector<std::unique_ptr<Type>> types_;
  bool open_ = false;
  bool node_sent_ = false;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ADS_SESSION_H_
