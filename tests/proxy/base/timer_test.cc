#include "proxy/base/timer.h"

#include <uv.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "lb/random_source.h"
#include "proxy/base/loop.h"
#include "tests/support/alloc_counter.h"

namespace remora::proxy {
namespace {

class TimerTest : public ::testing::Test {
 protected:
  int64_t UvNow() { return static_cast<int64_t>(uv_now(loop_.uv())); }
  Loop loop_;
};

struct Probe {
  explicit Probe(TimerWheel* wheel)
      : timer(wheel, [](void* self) { ++static_cast<Probe*>(self)->fired; }, this) {}
  Timer timer;
  int fired = 0;
};

TEST_F(TimerTest, FiresOnceAfterItsDelayNotBefore) {
  Probe probe(&loop_.timers());
  probe.timer.StartMs(10);
  EXPECT_TRUE(probe.timer.armed());
  loop_.timers().Skip(9);
  EXPECT_EQ(probe.fired, 0);
  loop_.timers().Skip(2);
  EXPECT_EQ(probe.fired, 1);
  EXPECT_FALSE(probe.timer.armed());
  loop_.timers().Skip(100000);
  EXPECT_EQ(probe.fired, 1);
}

TEST_F(TimerTest, FiresInRealTimeThroughTheLoop) {
  Probe probe(&loop_.timers());
  const int64_t before = loop_.now_ns();
  probe.timer.StartMs(20);
  while (probe.fired == 0) loop_.RunOnce(true);
  loop_.UpdateNow();
  EXPECT_GE(loop_.now_ns() - before, 20 * 1000000 - 1000000);
}

TEST_F(TimerTest, StoppedOrDestroyedNeverFires) {
  Probe stopped(&loop_.timers());
  stopped.timer.StartMs(5);
  auto destroyed = std::make_unique<Probe>(&loop_.timers());
  destroyed->timer.StartMs(5);
  stopped.timer.Stop();
  destroyed.reset();
  EXPECT_EQ(loop_.timers().armed(), 0u);
  loop_.timers().Skip(1000);
  EXPECT_EQ(stopped.fired, 0);
}

// A timer in the first slot after a border between rounds, when the border itself was passed by a
// timer that fired right before it.
TEST_F(TimerTest, NothingIsLostAtTheBordersOfRounds) {
  for (int64_t first = 1; first < 700; first += 3) {
    Loop loop;
    Probe one(&loop.timers());
    Probe two(&loop.timers());
    one.timer.StartMs(first);
    two.timer.StartMs(first + 300);
    loop.timers().Skip(first + 1);
    ASSERT_EQ(one.fired, 1) << first;
    loop.timers().Skip(300);
    ASSERT_EQ(two.fired, 1) << first;
  }
}

TEST_F(TimerTest, OneThatRestartsItselfWaitsForALaterTurn) {
  struct Again {
    explicit Again(TimerWheel* wheel) : timer(wheel, Fire, this) {}
    static void Fire(void* self) {
      auto* again = static_cast<Again*>(self);
      ++again->fired;
      again->timer.Start(0);
    }
    Timer timer;
    int fired = 0;
  };
  Again again(&loop_.timers());
  again.timer.Start(0);
  loop_.timers().Skip(0);
  EXPECT_EQ(again.fired, 1);
  loop_.timers().Skip(1);
  EXPECT_GE(again.fired, 2);
}

TEST_F(TimerTest, ACallbackMayStopAndDestroyOthersThatAreDue) {
  std::unique_ptr<Probe> victim;
  struct Killer {
    std::unique_ptr<Probe>* victim;
    Timer timer;
  };
  Killer killer{
      &victim, Timer(
                   &loop_.timers(), [](void* self) { static_cast<Killer*>(self)->victim->reset(); },
                   &killer)};
  victim = std::make_unique<Probe>(&loop_.timers());
  victim->timer.StartMs(3);
  killer.timer.StartMs(2);
  loop_.timers().Skip(10);
  EXPECT_EQ(victim, nullptr);
}

TEST_F(TimerTest, PushingATimerForwardCostsNoAllocation) {
  if (!AllocationsAreCounted()) GTEST_SKIP();
  Probe probe(&loop_.timers());
  Probe other(&loop_.timers());
  other.timer.StartMs(50);
  probe.timer.StartMs(3600 * 1000);
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) probe.timer.StartMs(3600 * 1000 + i);
  EXPECT_EQ(AllocationCount(), before);
}

// Random starts, stops and leaps against a sorted list.
TEST_F(TimerTest, AgreesWithAReferenceModel) {
  constexpr int kTimers = 200;
  lb::RandomSource random(7);
  struct Entry {
    std::unique_ptr<Timer> timer;
    std::vector<int>* order;
    int id;
  };
  std::vector<int> order;
  std::vector<std::unique_ptr<Entry>> entries;
  for (int i = 0; i < kTimers; ++i) {
    entries.push_back(std::make_unique<Entry>(Entry{nullptr, &order, i}));
    entries[i]->timer = std::make_unique<Timer>(
        &loop_.timers(),
        [](void* self) {
          auto* entry = static_cast<Entry*>(self);
          entry->order->push_back(entry->id);
        },
        entries[i].get());
  }
  int64_t skipped = 0;
  std::map<int, int64_t> due;  // by timer
  for (int round = 0; round < 20000; ++round) {
    const int id = static_cast<int>(random.Below(kTimers));
    const uint64_t action = random.Below(10);
    if (action < 6) {
      const int shift = static_cast<int>(random.Below(26));
      const int64_t delay = static_cast<int64_t>(random.Below((uint64_t{1} << shift) + 1)) + 1;
      entries[id]->timer->StartMs(delay);
      due[id] = UvNow() + skipped + delay;
    } else if (action < 7) {
      entries[id]->timer->Stop();
      due.erase(id);
    } else {
      const int shift = static_cast<int>(random.Below(24));
      const int64_t leap = static_cast<int64_t>(random.Below(uint64_t{1} << shift));
      order.clear();
      skipped += leap;
      loop_.timers().Skip(leap);
      const int64_t now = UvNow() + skipped;
      std::vector<std::pair<int64_t, int>> expected;
      for (const auto& [timer, at] : due) {
        if (at < now) expected.emplace_back(at, timer);
      }
      ASSERT_EQ(order.size(), expected.size()) << "round " << round;
      for (size_t i = 0; i < order.size(); ++i) {
        // In order of time; those of one millisecond in any order.
        ASSERT_TRUE(due.count(order[i])) << "round " << round;
        if (i > 0) {
          ASSERT_LE(due[order[i - 1]], due[order[i]]) << "round " << round;
        }
      }
      for (const int timer : order) {
        ASSERT_LT(due[timer], now);
      }
      for (const int timer : order) due.erase(timer);
    }
    ASSERT_EQ(loop_.timers().armed(), due.size());
  }
}

}  // namespace
}  // namespace remora::proxy
