#ifndef REMORA_PROXY_MAIN_ADMIN_SERVER_VIEW_H_
#define REMORA_PROXY_MAIN_ADMIN_SERVER_VIEW_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/main/admin/admin_server.h"

namespace remora::proxy {

// The process as its admin pages see it. Threads: main. Lifetime: the admin server's.
class AdminServer::ServerView final : public AdminState {
 public:
  explicit ServerView(Server* server) : server_(server) {}

  Input InputFor(ListenSockets& sockets);

  StatStore& stats() override;
  void RefreshGauges() override;
  const Options& options() override;
  const xds::Bootstrap& bootstrap() override;
  const xds::Catalog& catalog() override;
  std::vector<AdminCluster> clusters() override;
  std::vector<AdminListener> listeners() override;
  std::vector<xds::ListenerResource> draining_listeners() override;
  std::vector<ContextCertificates> certificates() override;
  ServerState state() override;
  int64_t uptime_s() override;
  int64_t start_ms() override;
  int64_t now_s() override;
  std::shared_ptr<const Runtime> runtime() override;
  void DrainListeners(bool inbound_only, bool graceful, bool skip_exit) override;
  void SetHealthCheckFailing(bool failing) override;
  void Quit() override;
  void ReopenLogs() override;
  absl::Status ModifyRuntime(
      const std::vector<std::pair<std::string, std::string>>& values) override;

 private:
  Server* server_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_SERVER_VIEW_H_
