#include "lb/host.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace remora::lb {
namespace {

TEST(SocketAddress, PrintsAsEnvoyDoes) {
  EXPECT_EQ(SocketAddress::Ip("10.1.2.3", 80)->ToString(), "10.1.2.3:80");
  EXPECT_EQ(SocketAddress::Ip("::1", 8080)->ToString(), "[::1]:8080");
  EXPECT_EQ(SocketAddress::Ip("2001:DB8:0::5", 1)->ToString(), "[2001:db8::5]:1");
  EXPECT_EQ(SocketAddress::Pipe("/run/a.sock")->ToString(), "/run/a.sock");
  EXPECT_EQ(SocketAddress::Pipe("@abstract")->ToString(), "@abstract");
}

TEST(SocketAddress, RefusesWhatIsNoAddress) {
  EXPECT_FALSE(SocketAddress::Ip("localhost", 80).ok());
  EXPECT_FALSE(SocketAddress::Ip("1.2.3", 80).ok());
  EXPECT_FALSE(SocketAddress::Pipe("").ok());
  EXPECT_FALSE(SocketAddress::Pipe(std::string(108, 'x')).ok());
  EXPECT_TRUE(SocketAddress::Pipe(std::string(107, 'x')).ok());
}

TEST(SocketAddress, IsWhatTheKernelWants) {
  const SocketAddress v4 = *SocketAddress::Ip("127.0.0.1", 81);
  ASSERT_EQ(v4.family(), AF_INET);
  EXPECT_EQ(v4.length(), sizeof(sockaddr_in));
  EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(v4.get())->sin_port), 81);
  const SocketAddress abstract = *SocketAddress::Pipe("@ab");
  EXPECT_EQ(abstract.length(), offsetof(sockaddr_un, sun_path) + 3);
  EXPECT_EQ(abstract.port(), 0);
}

TEST(SocketAddress, CopiesAndComesBackFromSockaddr) {
  for (const SocketAddress& address :
       {*SocketAddress::Ip("10.0.0.1", 1), *SocketAddress::Ip("fe80::1", 2),
        *SocketAddress::Pipe("/tmp/x"), *SocketAddress::Pipe("@y")}) {
    const SocketAddress copy = address;
    EXPECT_EQ(copy.ToString(), address.ToString());
    EXPECT_EQ(SocketAddress::FromSockaddr(copy.get(), copy.length())->ToString(),
              address.ToString());
  }
}

TEST(HealthFlags, AreSpelledAsInClusters) {
  EXPECT_EQ(HealthFlagsString(0), "healthy");
  EXPECT_EQ(HealthFlagsString(kFailedActiveHc | kFailedOutlierCheck),
            "/failed_active_hc/failed_outlier_check");
  EXPECT_EQ(HealthFlagsString(kActiveHcTimeout | kEdsStatusDraining),
            "/active_hc_timeout/eds_status_draining");
}

TEST(HealthFlags, UnhealthyWinsOverDegraded) {
  EXPECT_EQ(CoarseHealth(0), Health::kHealthy);
  EXPECT_EQ(CoarseHealth(kPendingDynamicRemoval), Health::kHealthy);
  EXPECT_EQ(CoarseHealth(kDegradedEdsHealth), Health::kDegraded);
  EXPECT_EQ(CoarseHealth(kDegradedActiveHc | kFailedOutlierCheck), Health::kUnhealthy);
  EXPECT_EQ(CoarseHealth(kEdsStatusDraining), Health::kUnhealthy);
  EXPECT_TRUE(IsExcluded(kPendingActiveHc | kFailedActiveHc));
  EXPECT_FALSE(IsExcluded(kFailedActiveHc));
}

TEST(HostState, TalliesOwnTheirCacheLines) {
  EXPECT_EQ(sizeof(HostState), 128u);
  HostState state;
  EXPECT_TRUE(state.SetFlag(kFailedActiveHc));
  EXPECT_FALSE(state.SetFlag(kFailedActiveHc));
  EXPECT_TRUE(state.HasFlag(kFailedActiveHc | kPendingActiveHc));
  EXPECT_TRUE(state.ClearFlag(kFailedActiveHc));
  EXPECT_FALSE(state.ClearFlag(kFailedActiveHc));
}

}  // namespace
}  // namespace remora::lb
