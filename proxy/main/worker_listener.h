#ifndef REMORA_PROXY_MAIN_WORKER_LISTENER_H_
#define REMORA_PROXY_MAIN_WORKER_LISTENER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/main/drain.h"
#include "proxy/main/listener_stats.h"
#include "proxy/main/served_listener.h"
#include "proxy/net/acceptor.h"
#include "proxy/stream/http_worker.h"

namespace remora::proxy {

class ServedConnection;
class WorkerListener;

// What the listeners of one loop share.
struct ListenerWorld {
  Loop* loop = nullptr;
  HttpWorker* http = nullptr;
  StatSlab* stats = nullptr;
  size_t worker_index = 0;
  uint64_t* accepted = nullptr;   // connections so far
  Drain* server_drain = nullptr;  // of the whole process
  // The listener of this loop that serves an address (its own, or the wildcard of its port), or
  // null: where a client meant to go before it was redirected.
  std::function<WorkerListener*(const Address&)> find_listener = [](const Address&) {
    return static_cast<WorkerListener*>(nullptr);
  };
};

// One listener on one loop: accepts, runs the listener filters, chooses the chain, hands the
// connection to what serves it, and keeps account of all its connections.
//
// Threads: the loop's. Lifetime: outlives its connections; a removed listener is kept by its worker
// until they have ended.
class WorkerListener {
 public:
  WorkerListener(const ListenerWorld* world, std::shared_ptr<const ServedListener> listener);
  ~WorkerListener();

  uint64_t id() const { return listener_->id; }
  const ServedListener& listener() const { return *listener_; }
  // The same listener in a new state: connections of chains that are gone are drained.
  void Update(std::shared_ptr<const ServedListener> listener, const Drain& drain);
  // Accepts no more; what is open is drained as `drain` says.
  void Remove(const Drain& drain);
  void StopAccepting();
  // Tells HTTP/2 peers to go; HTTP/1 ones hear it with their next response.
  void AnnounceDrain();
  // Ends everything now.
  void CloseAll();

  size_t connections() const { return count_; }
  size_t open_exchanges() const;
  const ListenerWorld& world() const { return *world_; }
  const StatScope<ListenerStat>& stats() const { return stats_; }

  // An accepted socket. Refused when there are too many connections already.
  void Accept(int descriptor, const Address& remote);
  // A connection that another listener hands over, as it is after that one's listener filters.
  void Take(std::unique_ptr<Connection> connection);

 private:
  friend class ServedConnection;
  void StartAccepting();
  bool MayAccept();
  void Serve(std::unique_ptr<Connection> connection, bool may_hand_off);
  void Add(ServedConnection* connection);
  void Forget(ServedConnection* connection);
  // Only what a filter chain was found for counts as a connection of the listener.
  void CountConnection();

  const ListenerWorld* world_;
  std::shared_ptr<const ServedListener> listener_;
  StatScope<ListenerStat> stats_;
  StatScope<ListenerWorkerStat> worker_stats_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  ServedConnection* first_ = nullptr;
  size_t count_ = 0;
  Drain drain_;
};

// The one among `listeners` that serves `address`: by its own address, else as the wildcard of the
// port. Null when there is none.
WorkerListener* FindListener(const std::vector<std::unique_ptr<WorkerListener>>& listeners,
                             const Address& address);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_WORKER_LISTENER_H_
