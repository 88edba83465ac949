#ifndef REMORA_PROXY_MAIN_SERVER_H_
#define REMORA_PROXY_MAIN_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/stats.h"
#include "proxy/main/cluster_set.h"
#include "proxy/main/discovery_world.h"
#include "proxy/main/dns.h"
#include "proxy/main/file_watch.h"
#include "proxy/main/health_log.h"
#include "proxy/main/listener_set.h"
#include "proxy/main/options.h"
#include "proxy/main/published.h"
#include "proxy/main/runtime_layers.h"
#include "proxy/main/server_state.h"
#include "proxy/main/server_stats.h"
#include "proxy/main/tls_contexts.h"
#include "proxy/main/worker.h"
#include "proxy/net/listen_sockets.h"
#include "proxy/stream/log_file.h"
#include "xds/bootstrap.h"
#include "xds/catalog.h"
#include "xds/subscriptions.h"

namespace remora::proxy {

// The process: builds the rooms, keeps what the catalog says in force, ends in order.
//
// Threads: main. One per process.
class Server {
 public:
  Server(Options options, std::shared_ptr<const xds::Bootstrap> bootstrap);
  ~Server();

  // Builds everything that the bootstrap names; binds unless `validate_only`. An error is what
  // start-up or validation fails with.
  absl::Status Initialize(bool validate_only);
  // Serves until told to leave. Returns the exit code.
  int Run();

  // Life cycle; called by signals and admin.
  void StartDrain();  // SIGTERM: clients are asked to go, then the process leaves
  void Quit();        // at once
  void DrainListeners(bool inbound_only, bool graceful, bool skip_exit);
  void SetHealthCheckFailing(bool failing);
  void ReopenLogs();

  const Options& options() const { return options_; }
  const xds::Bootstrap& bootstrap() const { return *bootstrap_; }
  const xds::Catalog& catalog() const { return *catalog_; }
  ClusterSet& clusters() { return *clusters_; }
  ListenerSet& listeners() { return *listeners_; }
  StatStore& stats() { return stats_; }
  TlsContexts& tls() { return *tls_; }
  Loop& loop() { return loop_; }
  HttpWorker& http() { return *http_; }
  LogFiles& log_files() { return log_files_; }
  ServerState state() const { return state_; }
  int64_t start_ms() const { return start_ms_; }
  std::shared_ptr<const Runtime> runtime() const { return runtime_; }
  // Overrides in the admin layer of runtime; see RuntimeLayers.
  absl::Status OverrideRuntime(const std::vector<std::pair<std::string, std::string>>& values);
  // Gauges that are computed, not counted; before a scrape.
  void RefreshGauges();

 private:
  class PublishItem;
  // Reads the runtime layers anew.
  void LoadRuntime();
  void ApplyRoutes();
  void AddLateFilters(RouteMap* routes);
  std::shared_ptr<const LateFilter> KnownLateFilter(
      const std::string& key, const std::shared_ptr<const xds::ExtensionConfig>& source) const;
  void BuildWorld();
  void FillClusterWorld();
  void FillLocalCluster();
  void BuildWorkers();
  void OnCatalogChange();
  void ApplySnapshot();
  void Publish();
  void PublishSoon();
  void MaybeStartWorkers();
  void WatchSecretFiles();
  void OnUpdateEvent(const xds::UpdateEvent& event);
  void SetState(ServerState state);
  void CheckQuiet();
  void OnWorkerLoad(WorkerLoad load);
  absl::Status StartAdmin();
  Drain ListenerDrain() const;
  Address HostAddress() const;

  Options options_;
  std::shared_ptr<const xds::Bootstrap> bootstrap_;
  Loop loop_;
  Mailbox mailbox_;
  StatStore stats_;
  StatScope<ServerStat> server_stats_;
  StatScope<RuntimeStat> runtime_stats_;
  LogFiles log_files_;
  HealthLog health_log_;
  std::shared_ptr<const Runtime> runtime_;
  std::unique_ptr<FileWatcher> files_;
  std::unique_ptr<RuntimeLayers> layers_;
  std::map<std::string, std::unique_ptr<DnsResolver>> resolvers_;
  std::unique_ptr<ListenSockets> sockets_;
  std::unique_ptr<TlsContexts> tls_;
  ClusterWorld cluster_world_;
  std::unique_ptr<LogWriter> logs_;
  std::unique_ptr<WorkerView> view_;
  std::unique_ptr<HttpWorker> http_;
  std::unique_ptr<ClusterSet> clusters_;
  std::unique_ptr<ListenerSet> listeners_;
  std::unique_ptr<xds::Catalog> catalog_;
  std::unique_ptr<DiscoveryWorld> discovery_;
  std::unique_ptr<xds::Subscriptions> subscriptions_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<class AdminServer> admin_;
  std::map<std::string, std::unique_ptr<FileWatcher::Watch>> secret_watches_;
  std::unique_ptr<PublishItem> publish_;
  std::shared_ptr<const xds::Snapshot> snapshot_;
  std::shared_ptr<const Published> published_;
  std::shared_ptr<const RouteMap> routes_;
  absl::Status initial_error_;
  uint64_t next_number_ = 1;
  int64_t start_ms_ = 0;
  int64_t start_ns_ = 0;
  ServerState state_ = ServerState::kPreInitializing;
  bool snapshot_due_ = false;
  bool workers_started_ = false;
  bool validate_only_ = false;
  // Read by workers at once: who was told that checks fail sees the next one fail.
  std::atomic<bool> server_failing_{false};
  bool draining_ = false;
  int exit_code_ = 0;
  // A drain that waits for quiet.
  Timer quiet_timer_;
  int64_t drain_deadline_ns_ = 0;
  size_t loads_due_ = 0;
  WorkerLoad load_;
  uint64_t accepted_before_ = 0;
  int quiet_rounds_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVER_H_
