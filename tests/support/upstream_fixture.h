#ifndef REMORA_TESTS_SUPPORT_UPSTREAM_FIXTURE_H_
#define REMORA_TESTS_SUPPORT_UPSTREAM_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/dialer.h"
#include "proxy/upstream/worker_view.h"
#include "tests/support/memory_stream.h"

namespace remora::testing {

// Connections to nowhere: each dial leaves its far end here, in order.
class MemoryDialer final : public proxy::Dialer {
 public:
  std::unique_ptr<proxy::Connection> Dial(proxy::Loop& loop, const proxy::DialTarget& target,
                                          std::string* reason) override;

  struct Dialled {
    std::string host;
    std::string sni;
    std::shared_ptr<FarEnd> far;
  };
  std::vector<Dialled> dialled;
  bool accept_at_once = true;
  // Dialling fails before it starts, with this reason.
  std::string broken;
};

// A worker's view over clusters made by hand, with a loop and statistics, no sockets.
class UpstreamFixture {
 public:
  UpstreamFixture();
  ~UpstreamFixture();

  using Edit = std::function<void(xds::Cluster&)>;
  // A STATIC cluster of hosts 10.0.0.1:80, 10.0.0.2:80, ...; a second call for the name is an
  // update that keeps hosts by address.
  void AddCluster(const std::string& name, size_t hosts, const Edit& edit = nullptr);
  void RemoveCluster(const std::string& name);
  // Installs what was added.
  void Install();

  // Runs turns until nothing is left to do at once.
  void Turn(int times = 3);
  // Lets real time pass for timers until `done` or the limit.
  bool RunUntil(const std::function<bool()>& done, int limit_ms = 5000);

  uint64_t Stat(const std::string& name) const { return stats.Value(name); }
  proxy::ClusterView* view_of(const std::string& name) { return view->FindCluster(name); }
  std::shared_ptr<const proxy::Cluster> cluster(const std::string& name) {
    return clusters_.at(name);
  }

  proxy::Loop loop;
  proxy::StatStore stats;
  MemoryDialer dialer;
  std::vector<proxy::WorkerView::Mail::Retired> retired;
  std::vector<std::pair<std::string, std::string>> suspects;  // cluster, host
  std::vector<std::string> immediate_fails;                   // host
  std::unique_ptr<proxy::WorkerView> view;
  proxy::RouteMap routes;

 private:
  proxy::ClusterMap clusters_;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_UPSTREAM_FIXTURE_H_
