#ifndef REMORA_TESTS_PROXY_MAIN_ADMIN_FAKE_STATE_H_
#define REMORA_TESTS_PROXY_MAIN_ADMIN_FAKE_STATE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/main/admin/admin_state.h"
#include "tests/support/xds/resources.h"

namespace remora::testing {

// A process that is what the test says; what pages ask of it is written down.
class FakeState final : public proxy::AdminState {
 public:
  explicit FakeState(const std::string& bootstrap = "{node: {id: me, cluster: mine}}")
      : bootstrap_(xds::BootstrapOf(bootstrap)),
        catalog_(std::make_unique<xds::Catalog>(bootstrap_, xds::Catalog::Hooks())) {}

  proxy::StatStore& stats() override { return stats_; }
  void RefreshGauges() override { ++refreshed_; }
  const proxy::Options& options() override { return options_; }
  const xds::Bootstrap& bootstrap() override { return *bootstrap_; }
  const xds::Catalog& catalog() override { return *catalog_; }
  std::vector<proxy::AdminCluster> clusters() override { return clusters_; }
  std::vector<proxy::AdminListener> listeners() override { return listeners_; }
  std::vector<xds::ListenerResource> draining_listeners() override { return {}; }
  std::vector<proxy::ContextCertificates> certificates() override { return certificates_; }
  proxy::ServerState state() override { return state_; }
  int64_t uptime_s() override { return 61; }
  int64_t start_ms() override { return 1700000000000; }
  int64_t now_s() override { return 1700000061; }
  std::shared_ptr<const Runtime> runtime() override { return runtime_; }
  void DrainListeners(bool inbound_only, bool graceful, bool skip_exit) override {
    calls_.push_back(absl::StrCat("drain ", inbound_only, graceful, skip_exit));
  }
  void SetHealthCheckFailing(bool failing) override { calls_.push_back(failing ? "fail" : "ok"); }
  void Quit() override { calls_.push_back("quit"); }
  void ReopenLogs() override { calls_.push_back("reopen"); }
  absl::Status ModifyRuntime(
      const std::vector<std::pair<std::string, std::string>>& values) override {
    for (const auto& [key, value] : values) calls_.push_back(absl::StrCat(key, "=", value));
    return modify_status_;
  }

  proxy::StatStore stats_;
  proxy::Options options_;
  std::shared_ptr<const xds::Bootstrap> bootstrap_;
  std::unique_ptr<xds::Catalog> catalog_;
  std::vector<proxy::AdminCluster> clusters_;
  std::vector<proxy::AdminListener> listeners_;
  std::vector<proxy::ContextCertificates> certificates_;
  proxy::ServerState state_ = proxy::ServerState::kLive;
  std::shared_ptr<const Runtime> runtime_;
  absl::Status modify_status_;
  std::vector<std::string> calls_;
  int refreshed_ = 0;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_PROXY_MAIN_ADMIN_FAKE_STATE_H_
