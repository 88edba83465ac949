#ifndef REMORA_PROXY_MAIN_LISTENER_SET_H_
#define REMORA_PROXY_MAIN_LISTENER_SET_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proxy/base/loop.h"
#include "proxy/main/served_listener.h"
#include "proxy/stream/token_buckets.h"
#include "xds/snapshot.h"

namespace remora::proxy {

// Every listener of the process on main, kept in line with the snapshots of the catalog: binds what
// is new, keeps sockets and chains that did not change. A listener that cannot be made keeps its
// predecessor.
//
// Threads: main. Lifetime: the server's.
class ListenerSet {
 public:
  // `base`: all of the input but config, previous and refresh_tls. `log`: what went wrong.
  ListenerSet(ListenerInput base, std::function<void(const std::string&)> log);
  ~ListenerSet();
  // How long what was replaced or removed lets its connections go; counted and shown meanwhile.
  // Without this nothing is.
  void set_drain(Loop* loop, int64_t duration_ms);

  // The first error, for start-up; later updates log it and go on.
  absl::Status Apply(const std::vector<xds::ListenerResource>& listeners, bool secrets_changed);
  // Starts to listen on what is bound.
  void Listen();
  // New connections are refused from now on (drain_listeners); those of inbound listeners only, if
  // so asked.
  void StopListening(bool inbound_only);
  // In the order of configuration.
  const std::vector<std::shared_ptr<const ServedListener>>& served() const { return served_; }
  const xds::ListenerResource* resource(const std::string& name) const;
  void SetWorkersStarted();
  // Listeners under way out, the oldest first.
  std::vector<xds::ListenerResource> draining() const;

 private:
  class Drains;
  enum class ManagerStat {
    kAdded,
    kCreateFailure,
    kCreateSuccess,
    kInPlaceUpdated,
    kModified,
    kRemoved,
    kStopped,
    kFilterChainsDraining,
    kActive,
    kDraining,
    kWarming,
    kWorkersPinned,
    kWorkersStarted,
  };
  void Count(ManagerStat stat);
  void Set(ManagerStat stat, uint64_t value);
  void NoteReplaced(const ServedListener& old, const ServedListener& next);
  void NoteRemoved(const ServedListener& old);
  void CloseUnused(const std::vector<std::shared_ptr<const ServedListener>>& next);

  TokenBuckets buckets_;
  ListenerInput base_;
  std::function<void(const std::string&)> log_;
  StatCell* cells_;
  std::map<std::string, xds::ListenerResource> resources_;
  std::vector<std::shared_ptr<const ServedListener>> served_;
  bool listening_ = false;
  std::unique_ptr<Drains> drains_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_LISTENER_SET_H_
