#ifndef REMORA_XDS_REST_POLLER_H_
#define REMORA_XDS_REST_POLLER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "xds/ads_encoding.h"
#include "xds/ads_stream.h"
#include "xds/config_source.h"
#include "xds/resource_types.h"

namespace remora::xds {

class SubscriptionWorld;

// Asks for one kind, or one resource of it, over and over: the REST way of discovery. The next look
// begins a refresh_delay, and up to as much again by chance, after the last one ended.
//
// Threads: main. Lifetime: the world outlives it. It may be destroyed from inside its hooks.
class RestPoller {
 public:
  struct Hooks {
    std::function<void()> on_attempt;
    // Whoever takes it says by Accept() that its version is in force.
    std::function<void(const Response&)> on_response;
    std::function<void(const absl::Status&)> on_failure;
  };

  // `name` empty: everything of the kind. `node`: serialized core.v3.Node.
  RestPoller(SubscriptionWorld* world, ResourceKind kind, std::string name,
             const ApiConfigSource& source, std::string node, Hooks hooks);
  ~RestPoller();

  void Start() { Ask(); }
  void Accept(const Response& response) { version_ = response.version; }

 private:
  void Ask();
  void OnAnswer(int status, absl::string_view body);
  void Wait();

  SubscriptionWorld* world_;
  ResourceKind kind_;
  std::string name_;
  ApiConfigSource source_;
  std::string node_;
  std::string version_;
  std::shared_ptr<const Hooks> hooks_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<AdsWorld::TimerHandle> fetch_;
  std::unique_ptr<AdsWorld::TimerHandle> timer_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_REST_POLLER_H_
