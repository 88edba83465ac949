#ifndef REMORA_PROXY_UPSTREAM_WORKER_VIEW_H_
#define REMORA_PROXY_UPSTREAM_WORKER_VIEW_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "health/outlier.h"
#include "lb/random_source.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/upstream/cluster.h"

namespace remora::proxy {

class ClusterView;
class Dialer;
class WorkerView;

// Something that nobody waits for and that ends by itself, such as a mirrored request. The view
// keeps it meanwhile.
class Background : public Mortal {
 private:
  friend class WorkerView;
  Background* prev_ = nullptr;
  Background* next_ = nullptr;
};

// What one installed configuration keeps alive. One per view and installation.
class InstalledSnapshot {
 public:
  InstalledSnapshot(std::shared_ptr<const ClusterMap> clusters,
                    std::shared_ptr<const RouteMap> routes)
      : clusters_(std::move(clusters)), routes_(std::move(routes)) {}

 private:
  friend class WorkerView;
  friend class SnapshotPin;

  std::shared_ptr<const ClusterMap> clusters_;
  std::shared_ptr<const RouteMap> routes_;
  // Clusters that views let go while this was current.
  std::vector<std::shared_ptr<const Cluster>> left_over_;
  WorkerView* view_ = nullptr;
  uint32_t pins_ = 0;
};

// Keeps route tables, clusters and hosts of the snapshot that was current when it was made; a plain
// count. Move-only. Must not outlive its WorkerView.
class SnapshotPin {
 public:
  SnapshotPin() = default;
  SnapshotPin(SnapshotPin&& other) noexcept : snapshot_(std::exchange(other.snapshot_, nullptr)) {}
  SnapshotPin& operator=(SnapshotPin&& other) noexcept {
    if (this != &other) {
      Release();
      snapshot_ = std::exchange(other.snapshot_, nullptr);
    }
    return *this;
  }
  ~SnapshotPin() { Release(); }
  void Release();
  explicit operator bool() const { return snapshot_ != nullptr; }

  // What the pinned configuration holds by these names; null when there is none. Valid for as long
  // as the pin.
  const xds::RouteTable* FindRoutes(absl::string_view name) const;
  const xds::ScopedRoute* FindScope(absl::string_view key) const;
  const LateFilter* FindFilter(absl::string_view key) const;

 private:
  friend class WorkerView;
  explicit SnapshotPin(InstalledSnapshot* snapshot) : snapshot_(snapshot) { ++snapshot->pins_; }
  InstalledSnapshot* snapshot_ = nullptr;
};

// A worker's view of clusters and routes: finds them by name and owns the worker's halves of the
// clusters. Main has one as well, for its own clients (xDS, probes, admin).
//
// Threads: one loop. Lifetime: destroyed after everything that uses it (streams, sessions, calls),
// while its loop still exists; connections close with it.
class WorkerView {
 public:
  // What the view sends to main; the functions are called on the view's thread and are expected to
  // write a letter. Any may be null.
  struct Mail {
    // The last references to what main made: to be dropped there.
    struct Retired {
      std::shared_ptr<const ClusterMap> clusters;
      std::shared_ptr<const RouteMap> routes;
      std::vector<std::shared_ptr<const Cluster>> left_over;
    };
    std::function<void(Retired)> retired;
    std::function<void(const std::string& cluster, std::shared_ptr<lb::Host>, health::Suspicion)>
        suspect;
    // An answer carried x-envoy-immediate-health-check-fail.
    std::function<void(const std::string& cluster, std::shared_ptr<lb::Host>)> immediate_fail;
    // A request made this host (original destination).
    std::function<void(const std::string& cluster, std::shared_ptr<lb::Host>)> new_host;
  };

  // `stats`: the thread's slab. `seed`: the worker's own.
  WorkerView(Loop* loop, StatSlab* stats, uint64_t seed, Mail mail);
  ~WorkerView();
  WorkerView(const WorkerView&) = delete;
  WorkerView& operator=(const WorkerView&) = delete;

  // The next configuration. Not from inside a callback of a stream or pool (mail has its own place
  // in the turn).
  void Install(std::shared_ptr<const ClusterMap> clusters, std::shared_ptr<const RouteMap> routes);

  // Null when there is no such cluster. Valid until the next turn; whoever keeps it longer makes a
  // ClusterRef of it (cluster_view.h).
  ClusterView* FindCluster(absl::string_view name);
  // Null when there is none. The table is valid for as long as a pin made after the look-up, in the
  // same turn, or before it.
  const xds::RouteTable* FindRoutes(absl::string_view name) const;
  // For streams that outlive many snapshots: a reference of their own instead of a pin.
  std::shared_ptr<const xds::RouteTable> ShareRoutes(absl::string_view name) const;
  SnapshotPin Pin() { return SnapshotPin(current_.get()); }

  void Adopt(std::unique_ptr<Background> task);
  // It is over: buries it.
  void Dismiss(Background* task);

  Loop& loop() { return *loop_; }
  StatSlab& stats() { return *stats_; }
  lb::RandomSource& random() { return random_; }
  uint64_t seed() const { return seed_; }
  // Grows with each installation.
  uint64_t generation() const { return generation_; }
  const Mail& mail() const { return mail_; }
  // How connections come to be; sockets unless a test says otherwise.
  Dialer& dialer() { return *dialer_; }
  void set_dialer(Dialer* dialer) { dialer_ = dialer; }
  // Connections of all clusters on this loop that are open (drain).
  size_t connections() const;
  // Closes upstream connections that are idle and every other one when it becomes so.
  void DrainConnections();

 private:
  friend class SnapshotPin;
  friend class ClusterView;

  // Drops what draining clusters no longer need, at the end of a turn: nothing of them is on the
  // stack then.
  class Sweep final : public Loop::TurnItem {
   public:
    explicit Sweep(WorkerView* view) : view_(view) {}
    void RunAtEndOfTurn() override { view_->SweepViews(); }

   private:
    WorkerView* view_;
  };

  void Unpinned(InstalledSnapshot* snapshot);
  void SendHome(std::unique_ptr<InstalledSnapshot> snapshot);
  void UpdateViews(InstalledSnapshot* old);
  void WantSweep() { loop_->AtEndOfTurn(&sweep_); }
  void SweepViews();

  Loop* loop_;
  Dialer* dialer_;
  StatSlab* stats_;
  uint64_t seed_;
  uint64_t generation_ = 1;
  Mail mail_;
  lb::RandomSource random_;
  std::unique_ptr<InstalledSnapshot> current_;
  std::vector<std::unique_ptr<InstalledSnapshot>> pinned_;  // older ones still in use
  absl::flat_hash_map<std::string, std::unique_ptr<ClusterView>> views_;
  std::vector<std::unique_ptr<ClusterView>> removed_;
  Background* background_ = nullptr;
  Sweep sweep_{this};
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_WORKER_VIEW_H_
