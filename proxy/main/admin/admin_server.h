#ifndef REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVER_H_
#define REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVER_H_

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "proxy/base/timer.h"
#include "proxy/main/admin/admin_pages.h"
#include "proxy/main/admin/admin_state.h"
#include "proxy/main/listener_stats.h"
#include "proxy/net/acceptor.h"
#include "proxy/net/listen_sockets.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/log_file.h"

namespace remora::proxy {

class Server;

// The admin listener: HTTP connections on main's loop, served by an ordinary connection manager
// (statistics prefix "admin") whose exchanges end in the pages.
//
// Threads: main. Lifetime: the server's; what it is given outlives it.
class AdminServer final : public HttpConnectionOwner {
 public:
  struct Input {
    AdminState* state = nullptr;
    // For this server alone: its exchanges end in the pages from now on.
    HttpWorker* http = nullptr;
    LogFiles* log_files = nullptr;
    ListenSockets* sockets = nullptr;
    Address host_address;  // of this machine
  };
  // Binds and listens as the bootstrap says, which must have an admin address.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const Input& input);
  // For the process: shows and acts on `server`.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(Server* server, ListenSockets& sockets);
  // Closes every connection.
  ~AdminServer();

  // As bound: a port of 0 has become a real one.
  const Address& address() const { return acceptor_->group().address(); }
  AdminPages& pages() { return pages_; }
  size_t connections() const { return connections_.size(); }

 private:
  class ServerView;
  struct Served {
    std::unique_ptr<HttpConnection> connection;
    int64_t start_ns = 0;
  };

  AdminServer(const Input& input, std::shared_ptr<const HttpService> service,
              std::shared_ptr<ListenGroup> group);
  void Accept(int descriptor, const Address& remote);
  void OnHttpConnectionEnded(HttpConnection* connection) override;
  bool ShouldDrain() override { return false; }
  void OnFlush();

  std::unique_ptr<ServerView> view_;
  HttpWorker* http_;
  AdminPages pages_;
  std::shared_ptr<const HttpService> service_;
  StatScope<ListenerStat> stats_;
  StatScope<ListenerWorkerStat> thread_stats_;
  int64_t flush_ns_;
  absl::flat_hash_map<HttpConnection*, Served> connections_;
  Timer flush_timer_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ADMIN_SERVER_H_
