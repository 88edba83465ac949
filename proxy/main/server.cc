#include "proxy/main/server.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proxy/base/log.h"
#include "proxy/main/admin/admin_server.h"
#include "proxy/main/local_address.h"
#include "proxy/main/probers.h"
#include "proxy/main/signals.h"

namespace remora::proxy {
namespace {

uint64_t RandomSeed() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) ^ device();
}

std::string ResolverKey(const xds::DnsSettings& settings) {
  std::string key = settings.use_tcp ? "tcp" : "udp";
  for (const xds::AddressSpec& resolver : settings.resolvers)
    absl::StrAppend(&key, ",", resolver.ToString());
  return key;
}

}  // namespace

// Runs once at the end of a turn, however often something changed in it: one snapshot per turn.
class Server::PublishItem final : public Loop::TurnItem {
 public:
  explicit PublishItem(Server* server) : server_(server) {}
  void RunAtEndOfTurn() override { server_->Publish(); }

 private:
  Server* server_;
};

Server::Server(Options options, std::shared_ptr<const xds::Bootstrap> bootstrap)
    : options_(std::move(options)),
      bootstrap_(std::move(bootstrap)),
      mailbox_(&loop_),
      server_stats_(stats_.MainScope<ServerStat>(stats_.Register("server.", ServerStatSchema()))),
      runtime_stats_(
          stats_.MainScope<RuntimeStat>(stats_.Register("runtime.", RuntimeStatSchema()))),
      runtime_(bootstrap_->runtime),
      publish_(std::make_unique<PublishItem>(this)),
      start_ms_(absl::ToUnixMillis(absl::Now())),
      start_ns_(loop_.now_ns()),
      quiet_timer_(
          &loop_.timers(), [](void* self) { static_cast<Server*>(self)->CheckQuiet(); }, this) {}

Server::~Server() {
  // In reverse order of dependence; workers have ended.
  subscriptions_.reset();
  admin_.reset();
  loop_.graveyard().Empty();
  listeners_.reset();
  clusters_.reset();
  http_.reset();
  view_.reset();
  loop_.graveyard().Empty();
  logs_.reset();
  published_.reset();
  secret_watches_.clear();
}

Address Server::HostAddress() const { return LocalAddress(options_.prefer_ipv6); }

void Server::BuildWorld() {
  files_ = std::make_unique<FileWatcher>(&loop_);
  layers_ = std::make_unique<RuntimeLayers>(bootstrap_, validate_only_ ? nullptr : files_.get(),
                                            [this] { LoadRuntime(); });
  sockets_ = std::make_unique<ListenSockets>(options_.concurrency);
  tls_ = std::make_unique<TlsContexts>(&stats_);
  RegisterProcessStats(options_.concurrency, &stats_);
  const StatBlock* file_block = stats_.Register("filesystem.", FileStatSchema());
  logs_ = std::make_unique<LogWriter>(&loop_, options_.file_flush_interval_ms,
                                      stats_.MainScope<FileStat>(file_block));
  WorkerView::Mail mail;
  mail.suspect = [this](const std::string& cluster, std::shared_ptr<lb::Host> host,
                        health::Suspicion suspicion) {
    if (LiveCluster* live = clusters_->Find(cluster)) live->OnSuspicion(host, suspicion);
  };
  mail.new_host = [this](const std::string& cluster, std::shared_ptr<lb::Host> host) {
    mailbox_.Send([this, cluster, host = std::move(host)] {
      if (LiveCluster* live = clusters_->Find(cluster)) live->OnNewHost(host);
    });
  };
  view_ = std::make_unique<WorkerView>(&loop_, stats_.main_slab(), RandomSeed(), std::move(mail));
  http_ = std::make_unique<HttpWorker>(view_.get(), logs_.get());
  http_->set_runtime(runtime_);
  FillClusterWorld();
  clusters_ = std::make_unique<ClusterSet>(&cluster_world_);
}

void Server::FillLocalCluster() {
  cluster_world_.local = bootstrap_->node.locality;
  cluster_world_.local_cluster = bootstrap_->local_cluster_name;
  cluster_world_.local_hosts = [this]() -> std::shared_ptr<const lb::HostSet> {
    const LiveCluster* local = clusters_ == nullptr || cluster_world_.local_cluster.empty()
                                   ? nullptr
                                   : clusters_->Find(cluster_world_.local_cluster);
    if (local == nullptr || local->current() == nullptr) return nullptr;
    return local->current()->hosts;
  };
  cluster_world_.on_local_hosts = [this] {
    if (clusters_ != nullptr) clusters_->LocalHostsChanged();
  };
}

void Server::FillClusterWorld() {
  cluster_world_.loop = &loop_;
  cluster_world_.stats = &stats_;
  cluster_world_.log = &health_log_;
  FillLocalCluster();
  if (bootstrap_->upstream_bind.has_value()) {
    cluster_world_.default_bind =
        std::make_shared<const xds::BindConfig>(*bootstrap_->upstream_bind);
  }
  cluster_world_.threads = options_.concurrency + 1;
  cluster_world_.outlier_log_path = bootstrap_->outlier_event_log;
  cluster_world_.seed = RandomSeed();
  cluster_world_.dns = [this](const xds::DnsSettings& settings) -> DnsResolver* {
    std::unique_ptr<DnsResolver>& resolver = resolvers_[ResolverKey(settings)];
    if (resolver == nullptr) {
      std::vector<std::string> servers;
      for (const xds::AddressSpec& spec : settings.resolvers) servers.push_back(spec.ToString());
      auto made = DnsResolver::Create(&loop_, servers, settings.use_tcp);
      if (made.ok()) resolver = *std::move(made);
    }
    return resolver.get();
  };
  cluster_world_.tls = [this](const xds::UpstreamTls& tls, const std::string& prefix) {
    return tls_->ForClient(tls, prefix);
  };
  cluster_world_.prober = [this](const xds::HealthCheck& check, const std::string& name) {
    return MakeProber(
        &loop_, check, name,
        [this, name]() -> std::shared_ptr<const Cluster> {
          LiveCluster* live = clusters_->Find(name);
          return live == nullptr ? nullptr : live->current();
        },
        &SocketDialer(), stats_.main_slab());
  };
  cluster_world_.on_change = [this] {
    if (clusters_ == nullptr) return;
    clusters_->MarkChanged();
    PublishSoon();
  };
  cluster_world_.log_warning = [](const std::string& text) {
    REMORA_LOG(kWarning, "upstream", text);
  };
}

void Server::BuildWorkers() {
  const StatBlock* file_block = stats_.Register("filesystem.", FileStatSchema());
  for (uint32_t i = 0; i < options_.concurrency; ++i) {
    WorkerInput input;
    input.index = i;
    input.seed = RandomSeed();
    input.stats = stats_.AddSlab();
    input.file_stats = StatScope<FileStat>(input.stats->Cells(*file_block));
    input.log_flush_ms = options_.file_flush_interval_ms;
    input.failing = &server_failing_;
    input.mail.retired = [this](WorkerView::Mail::Retired retired) {
      // Opening the letter drops the last references on main.
      mailbox_.Send([retired = std::move(retired)] {});
    };
    input.mail.suspect = [this](const std::string& cluster, std::shared_ptr<lb::Host> host,
                                health::Suspicion suspicion) {
      mailbox_.Send([this, cluster, host = std::move(host), suspicion] {
        if (LiveCluster* live = clusters_->Find(cluster)) live->OnSuspicion(host, suspicion);
      });
    };
    input.mail.immediate_fail = [this](const std::string& cluster, std::shared_ptr<lb::Host> host) {
      mailbox_.Send([this, cluster, host = std::move(host)] {
        if (LiveCluster* live = clusters_->Find(cluster)) live->OnImmediateFail(host);
      });
    };
    input.mail.new_host = [this](const std::string& cluster, std::shared_ptr<lb::Host> host) {
      mailbox_.Send([this, cluster, host = std::move(host)] {
        if (LiveCluster* live = clusters_->Find(cluster)) live->OnNewHost(host);
      });
    };
    input.retired = [this](std::shared_ptr<const Published> published) {
      mailbox_.Send([published = std::move(published)] {});
    };
    workers_.push_back(std::make_unique<Worker>(std::move(input)));
  }
}

absl::Status Server::Initialize(bool validate_only) {
  validate_only_ = validate_only;
  SetState(ServerState::kInitializing);
  server_stats_.Set(ServerStat::kConcurrency, options_.concurrency);
  server_stats_.Set(ServerStat::kLive, 1);
  server_stats_.Set(ServerStat::kHotRestartEpoch, options_.restart_epoch);
  BuildWorld();
  // Envoy loads them twice at its start: before there are clusters, and after.
  LoadRuntime();
  LoadRuntime();
  BuildWorkers();
  log_files_.set_process(bootstrap_->node.original, &stats_);
  ListenerInput base;
  base.workers = options_.concurrency;
  base.stats = &stats_;
  base.logs = &log_files_;
  base.sockets = validate_only ? nullptr : sockets_.get();
  base.host_address = HostAddress();
  base.node_id = bootstrap_->node.id;
  base.process = std::make_shared<ConnectionBudget>(bootstrap_->overload_max_connections);
  base.service_cluster = bootstrap_->node.cluster;
  base.tls = [this](const xds::DownstreamTls& tls, const std::string& prefix) {
    return tls_->ForServer(tls, prefix);
  };
  listeners_ = std::make_unique<ListenerSet>(
      std::move(base), [](const std::string& text) { REMORA_LOG(kWarning, "config", text); });
  if (!validate_only) listeners_->set_drain(&loop_, int64_t{1000} * options_.drain_time_s);
  xds::Catalog::Hooks hooks;
  hooks.on_change = [this] { OnCatalogChange(); };
  hooks.on_interest = [this](xds::ResourceKind kind) {
    if (subscriptions_ != nullptr) subscriptions_->OnInterest(kind);
  };
  catalog_ = std::make_unique<xds::Catalog>(bootstrap_, std::move(hooks));
  ApplySnapshot();
  if (!initial_error_.ok()) return initial_error_;
  if (validate_only) return absl::OkStatus();
  Publish();
  return StartAdmin();
}

absl::Status Server::StartAdmin() {
  if (!bootstrap_->admin.address) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<AdminServer>> admin = AdminServer::Start(this, *sockets_);
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  if (!options_.admin_address_path.empty()) {
    std::ofstream(options_.admin_address_path) << admin_->address().ToString();
  }
  return absl::OkStatus();
}

void Server::OnCatalogChange() {
  snapshot_due_ = true;
  PublishSoon();
}

void Server::PublishSoon() { loop_.AtEndOfTurn(publish_.get()); }

void Server::Publish() {
  if (snapshot_due_) ApplySnapshot();
  auto next = std::make_shared<Published>();
  next->number = next_number_++;
  next->clusters = clusters_->Map();
  next->routes = routes_;
  next->runtime = runtime_;
  if (workers_started_) next->listeners = listeners_->served();
  const bool same = published_ != nullptr && published_->clusters == next->clusters &&
                    published_->routes == next->routes &&
                    published_->listeners == next->listeners &&
                    published_->runtime == next->runtime;
  if (!same) {
    published_ = next;
    view_->Install(next->clusters, next->routes);
    for (const auto& worker : workers_) worker->Install(next, ListenerDrain());
  }
  if (subscriptions_ != nullptr) subscriptions_->OnCatalogChange();
  MaybeStartWorkers();
}

Drain Server::ListenerDrain() const {
  Drain drain;
  drain.active = true;
  drain.immediate = options_.drain_strategy == Options::DrainStrategy::kImmediate;
  drain.duration_ns = static_cast<int64_t>(options_.drain_time_s) * 1000000000;
  return drain;
}

void Server::MaybeStartWorkers() {
  if (workers_started_ || subscriptions_ == nullptr || !subscriptions_->initialized() ||
      !clusters_->settled())
    return;
  workers_started_ = true;
  listeners_->Listen();
  listeners_->SetWorkersStarted();
  server_stats_.Record(ServerStat::kInitializationTimeMs, (loop_.now_ns() - start_ns_) / 1000000);
  REMORA_LOG(kInfo, "config", "all dependencies initialized. starting workers");
  PublishSoon();
  if (!draining_) SetState(ServerState::kLive);
  if (options_.mode == Options::Mode::kInitOnly) Quit();
}

void Server::WatchSecretFiles() {
  std::map<std::string, std::unique_ptr<FileWatcher::Watch>> watches;
  for (const auto& [name, secret] : *snapshot_->secrets) {
    for (const std::string& path : secret->Files()) {
      const std::string key = absl::StrCat(name, "|", path);
      const auto kept = secret_watches_.find(key);
      if (kept != secret_watches_.end()) {
        watches[key] = std::move(kept->second);
        continue;
      }
      watches[key] = files_->Add(path, "", [this, name = name] {
        const absl::Status status = catalog_->ReloadSecret(name, absl::ToUnixMillis(absl::Now()));
        if (!status.ok()) {
          REMORA_LOG(kWarning, "secret",
                     absl::StrCat("secret '", name, "' kept: ", std::string(status.message())));
        }
      });
    }
  }
  secret_watches_ = std::move(watches);
}

void Server::SetState(ServerState state) {
  state_ = state;
  server_stats_.Set(ServerStat::kState, static_cast<uint64_t>(state));
  server_stats_.Set(ServerStat::kLive, state == ServerState::kLive ? 1 : 0);
}

void Server::SetHealthCheckFailing(bool failing) {
  server_failing_.store(failing, std::memory_order_relaxed);
  server_stats_.Set(ServerStat::kLive, failing ? 0 : 1);
  // The other gauge follows with the next refresh, as Envoy's does.
  state_ = failing ? ServerState::kDraining : ServerState::kLive;
  PublishSoon();
}

void Server::RefreshGauges() {
  server_stats_.Set(ServerStat::kUptime, (loop_.now_ns() - start_ns_) / 1000000000);
  const struct mallinfo2 heap = mallinfo2();
  server_stats_.Set(ServerStat::kMemoryAllocated, heap.uordblks + heap.hblkhd);
  server_stats_.Set(ServerStat::kMemoryHeapSize, heap.arena + heap.hblkhd);
  uint64_t pages = 0;
  uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  server_stats_.Set(ServerStat::kMemoryPhysicalSize,
                    resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  server_stats_.Set(ServerStat::kVersion, 0);
  SetThreadClusters(options_.concurrency, clusters_->all().size(), &stats_);
  server_stats_.Set(ServerStat::kDaysUntilFirstCertExpiring, tls_->DaysUntilFirstExpiry());
  for (const auto& [name, cluster] : clusters_->all()) {
    if (cluster->current() != nullptr) RefreshBreakerGauges(*cluster->current(), stats_);
  }
}

void Server::ReopenLogs() {
  log_files_.Reopen();
  health_log_.Reopen();
  ReopenLog();
  for (const auto& worker : workers_) worker->ReopenLogs();
}

}  // namespace remora::proxy
