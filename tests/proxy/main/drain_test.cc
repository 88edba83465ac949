#include "proxy/main/drain.h"

#include <gtest/gtest.h>

namespace remora::proxy {
namespace {

constexpr int64_t kSecond = 1000000000;

// Out of 1,000 evenly spread draws, how many clients are asked to go.
int Asked(const Drain& drain, int64_t now_ns) {
  int asked = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    asked += drain.Asks(now_ns, i * (10 * kSecond / 1000)) ? 1 : 0;
  }
  return asked;
}

TEST(DrainTest, NobodyIsAskedWithoutADrain) { EXPECT_EQ(Asked(Drain(), 5 * kSecond), 0); }

TEST(DrainTest, AnImmediateDrainAsksEverybodyAtOnce) {
  Drain drain;
  drain.active = true;
  drain.immediate = true;
  drain.duration_ns = 10 * kSecond;
  EXPECT_EQ(Asked(drain, 0), 1000);
}

TEST(DrainTest, AGradualDrainAsksMoreAndMore) {
  Drain drain;
  drain.active = true;
  drain.start_ns = 100 * kSecond;
  drain.duration_ns = 10 * kSecond;
  EXPECT_EQ(Asked(drain, 100 * kSecond), 0);
  EXPECT_EQ(Asked(drain, 101 * kSecond), 100);
  EXPECT_EQ(Asked(drain, 105 * kSecond), 500);
  EXPECT_EQ(Asked(drain, 110 * kSecond), 1000);
  EXPECT_EQ(Asked(drain, 500 * kSecond), 1000);
}

TEST(DrainTest, ADrainOfNoLengthAsksAtOnce) {
  Drain drain;
  drain.active = true;
  EXPECT_EQ(Asked(drain, 0), 1000);
}

}  // namespace
}  // namespace remora::proxy
