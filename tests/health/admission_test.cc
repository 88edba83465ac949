#include "health/admission.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace remora::health {
namespace {

TEST(Breakers, HaveEnvoysDefaults) {
  const Breakers breakers{BreakerLimits()};
  EXPECT_EQ(breakers.limit(Resource::kConnections), 1024u);
  EXPECT_EQ(breakers.limit(Resource::kPending), 1024u);
  EXPECT_EQ(breakers.limit(Resource::kRequests), 1024u);
  EXPECT_EQ(breakers.limit(Resource::kRetries), 3u);
  EXPECT_EQ(breakers.limit(Resource::kConnectionPools), UINT32_MAX);
}

TEST(Breakers, TicketsGiveThemselvesBack) {
  BreakerLimits limits;
  limits.max_requests = 1;
  Breakers breakers(limits);
  {
    const Ticket ticket = breakers.TryTake(Resource::kRequests);
    EXPECT_TRUE(ticket);
    EXPECT_TRUE(breakers.IsOpen(Resource::kRequests));
    EXPECT_EQ(breakers.remaining(Resource::kRequests), 0u);
    EXPECT_FALSE(breakers.TryTake(Resource::kRequests));
    EXPECT_EQ(breakers.count(Resource::kRequests), 1u);
  }
  EXPECT_EQ(breakers.count(Resource::kRequests), 0u);
  EXPECT_TRUE(breakers.TryTake(Resource::kRequests));
}

TEST(Breakers, AMovedTicketCountsOnce) {
  Breakers breakers{BreakerLimits()};
  Ticket ticket = breakers.TryTake(Resource::kPending);
  Ticket moved = std::move(ticket);
  EXPECT_FALSE(ticket);  // NOLINT(bugprone-use-after-move): it is promised to be empty
  Ticket other = breakers.TryTake(Resource::kPending);
  EXPECT_EQ(breakers.count(Resource::kPending), 2u);
  other = std::move(moved);
  EXPECT_EQ(breakers.count(Resource::kPending), 1u);
  other.Release();
  other.Release();
  EXPECT_EQ(breakers.count(Resource::kPending), 0u);
}

TEST(Breakers, TheOneConnectionAlwaysAllowedCountsToo) {
  BreakerLimits limits;
  limits.max_connections = 0;
  Breakers breakers(limits);
  EXPECT_FALSE(breakers.TryTake(Resource::kConnections));
  const Ticket ticket = breakers.Take(Resource::kConnections);
  EXPECT_TRUE(ticket);
  EXPECT_EQ(breakers.count(Resource::kConnections), 1u);
  EXPECT_EQ(breakers.remaining(Resource::kConnections), 0u);
}

TEST(Breakers, LimitsChangeUnderTickets) {
  BreakerLimits limits;
  limits.max_requests = 2;
  Breakers breakers(limits);
  const Ticket a = breakers.TryTake(Resource::kRequests);
  const Ticket b = breakers.TryTake(Resource::kRequests);
  limits.max_requests = 1;
  breakers.SetLimits(limits);
  EXPECT_FALSE(breakers.TryTake(Resource::kRequests));
  limits.max_requests = 3;
  breakers.SetLimits(limits);
  EXPECT_TRUE(breakers.TryTake(Resource::kRequests));
}

TEST(Breakers, ARetryBudgetFollowsWhatIsUnderWay) {
  BreakerLimits limits;
  limits.retry_budget_percent = 20;
  limits.min_retry_concurrency = 3;
  Breakers breakers(limits);
  EXPECT_EQ(breakers.limit(Resource::kRetries), 3u);
  std::vector<Ticket> under_way;
  for (int i = 0; i < 30; ++i) under_way.push_back(breakers.TryTake(Resource::kRequests));
  for (int i = 0; i < 10; ++i) under_way.push_back(breakers.TryTake(Resource::kPending));
  EXPECT_EQ(breakers.limit(Resource::kRetries), 8u);
  std::vector<Ticket> retries;
  for (int i = 0; i < 8; ++i) {
    retries.push_back(breakers.TryTake(Resource::kRetries));
    EXPECT_TRUE(retries.back());
  }
  EXPECT_FALSE(breakers.TryTake(Resource::kRetries));
}

TEST(Breakers, HoldTheirLimitExactlyAcrossThreads) {
  BreakerLimits limits;
  limits.max_requests = 3;
  Breakers breakers(limits);
  std::atomic<uint32_t> holders{0};
  std::atomic<bool> too_many{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i) {
        const Ticket ticket = breakers.TryTake(Resource::kRequests);
        if (!ticket) continue;
        if (holders.fetch_add(1) + 1 > 3) too_many = true;
        holders.fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(too_many);
  EXPECT_EQ(breakers.count(Resource::kRequests), 0u);
}

TEST(ClusterBreakers, CountPrioritiesApart) {
  BreakerLimits high;
  high.max_requests = 7;
  ClusterBreakers breakers{BreakerLimits(), high};
  const Ticket ticket = breakers.at(RoutingPriority::kHigh).TryTake(Resource::kRequests);
  EXPECT_EQ(breakers.at(RoutingPriority::kHigh).remaining(Resource::kRequests), 6u);
  EXPECT_EQ(breakers.at(RoutingPriority::kDefault).count(Resource::kRequests), 0u);
}

}  // namespace
}  // namespace remora::health
