#include "proxy/main/live_cluster.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "tests/support/xds/parsing.h"

namespace remora::proxy {
namespace {

class LiveClusterTest : public ::testing::Test {
 protected:
  LiveClusterTest() {
    world_.loop = &loop_;
    world_.stats = &stats_;
    world_.on_change = [this] { ++changes_; };
    world_.log_warning = [](const std::string& text) { ADD_FAILURE() << text; };
  }

  void Make(const std::string& window) {
    auto parsed = xds::ParseYaml<xds::Cluster, envoy::config::cluster::v3::Cluster>(
        "{name: c, outlier_detection: {consecutive_5xx: 1, max_ejection_percent: 100}, "
        "common_lb_config: {update_merge_window: " +
        window +
        "}, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: ["
        "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}, "
        "{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]}]}}");
    ASSERT_NE(parsed.value, nullptr) << parsed.AllErrors();
    xds::ClusterResource resource;
    resource.config = parsed.value;
    cluster_ = std::make_unique<LiveCluster>(&world_, resource);
    ASSERT_NE(cluster_->published(), nullptr);
    EXPECT_EQ(Published(), 2u);
  }

  void Eject(size_t index) {
    const auto host = cluster_->current()->hosts->table()->entries()[index].host;
    cluster_->OnSuspicion(host, 1u << static_cast<int>(health::OutlierRule::kConsecutive5xx));
  }
  size_t Published() const { return cluster_->published()->hosts->healthy_count(); }
  size_t Current() const { return cluster_->current()->hosts->healthy_count(); }

  Loop loop_;
  StatStore stats_;
  ClusterWorld world_;
  std::unique_ptr<LiveCluster> cluster_;
  int changes_ = 0;
};

TEST_F(LiveClusterTest, ChangesOfHealthThatFollowEachOtherAreMerged) {
  Make("0.05s");
  Eject(0);
  EXPECT_EQ(Published(), 1u);
  const int before = changes_;
  Eject(1);
  // Statistics and the admin page know at once, workers a little later.
  EXPECT_EQ(Current(), 0u);
  EXPECT_EQ(Published(), 1u);
  EXPECT_EQ(changes_, before);
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (Published() != 0 && absl::Now() < end) loop_.RunOnce(/*wait=*/true);
  EXPECT_EQ(Published(), 0u);
  EXPECT_EQ(changes_, before + 1);
}

TEST_F(LiveClusterTest, WithoutAWindowNothingWaits) {
  Make("0s");
  Eject(0);
  Eject(1);
  EXPECT_EQ(Published(), 0u);
}

}  // namespace
}  // namespace remora::proxy
