#include "lb/edf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lb/random_source.h"

namespace remora::lb {
namespace {

using ::testing::ElementsAre;

std::vector<uint32_t> PickN(EdfQueue& queue, const std::vector<double>& weights, int n) {
  std::vector<uint32_t> picks;
  for (int i = 0; i < n; ++i) {
    picks.push_back(queue.Pick([&](uint32_t m) { return weights[m]; }));
  }
  return picks;
}

EdfQueue Make(const std::vector<double>& weights, uint32_t picks = 0) {
  return EdfQueue(static_cast<uint32_t>(weights.size()), picks,
                  [&](uint32_t m) { return weights[m]; });
}

// The same by the book: a list of (deadline, order), searched. First deadlines are a hair early.
class Reference {
 public:
  explicit Reference(const std::vector<double>& weights) : weights_(weights) {
    for (uint32_t i = 0; i < weights.size(); ++i)
      queue_.push_back({1 / (weights[i] + 1e-13), order_++, i});
  }
  uint32_t Pick() {
    auto at = std::min_element(queue_.begin(), queue_.end());
    const uint32_t member = at->member;
    *at = {at->deadline + 1.0 / weights_[member], order_++, member};
    return member;
  }

 private:
  struct Item {
    double deadline;
    uint64_t order;
    uint32_t member;
    bool operator<(const Item& other) const {
      return deadline != other.deadline ? deadline < other.deadline : order < other.order;
    }
  };
  std::vector<double> weights_;
  std::vector<Item> queue_;
  uint64_t order_ = 0;
};

TEST(EdfQueue, EqualWeightsTakeTurns) {
  const std::vector<double> weights = {1, 1, 1};
  EdfQueue queue = Make(weights);
  EXPECT_THAT(PickN(queue, weights, 6), ElementsAre(0, 1, 2, 0, 1, 2));
}

TEST(EdfQueue, SpreadsByWeight) {
  // Deadlines: a 1 2, b .5 1 1.5 2, c .333 .667 1 ...: c b c | a b c ties at 1 in the order queued.
  const std::vector<double> weights = {1, 2, 3};
  EdfQueue queue = Make(weights);
  EXPECT_THAT(PickN(queue, weights, 6), ElementsAre(2, 1, 2, 0, 1, 2));
}

TEST(EdfQueue, AgreesWithTheDefinitionOnManyWeights) {
  RandomSource random(3);
  for (const uint32_t count : {1u, 2u, 4u, 5u, 17u, 100u}) {
    std::vector<double> weights;
    for (uint32_t i = 0; i < count; ++i)
      weights.push_back(1.0 + static_cast<double>(random.Below(9)));
    EdfQueue queue = Make(weights);
    Reference reference(weights);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_EQ(queue.Pick([&](uint32_t m) { return weights[m]; }), reference.Pick())
          << count << " members, pick " << i;
    }
  }
}

TEST(EdfQueue, StartsAsAfterSomePicks) {
  // Each advanced start is some place in the same cycle: shares over a cycle are exact from
  // anywhere.
  const std::vector<double> weights = {1, 2, 5};
  for (const uint32_t start : {0u, 1u, 7u, 8u, 1000u, 4'000'000'000u}) {
    EdfQueue queue = Make(weights, start);
    std::vector<int> counts(3);
    for (const uint32_t member : PickN(queue, weights, 800)) ++counts[member];
    EXPECT_NEAR(counts[0], 100, 1) << start;
    EXPECT_NEAR(counts[1], 200, 1) << start;
    EXPECT_NEAR(counts[2], 500, 1) << start;
  }
}

TEST(EdfQueue, ReadsTheWeightWhenQueuedAgain) {
  std::vector<double> weights = {1, 1};
  EdfQueue queue = Make(weights);
  PickN(queue, weights, 2);
  weights[0] = 3;
  // Member 0 still has its turn at 2, then comes thrice as often.
  std::vector<int> counts(2);
  for (const uint32_t member : PickN(queue, weights, 400)) ++counts[member];
  EXPECT_NEAR(counts[0], 300, 2);
}

TEST(EdfQueue, ASuccessorGoesOnWhereItWas) {
  const std::vector<double> weights = {1, 2, 3, 4};
  const auto weight_of = [&](uint32_t m) { return weights[m]; };
  EdfQueue queue = Make(weights, 5);
  PickN(queue, weights, 3);
  std::vector<EdfQueue::Turn> turns;
  queue.ReadTurns(weight_of, &turns);
  EdfQueue successor(turns, queue.next_order(), weight_of);
  std::vector<int> difference(4);
  for (int i = 0; i < 1000; ++i) {
    ++difference[queue.Pick(weight_of)];
    --difference[successor.Pick(weight_of)];
  }
  // Rounding may swap neighbours that tie, no more.
  for (const int d : difference) EXPECT_LE(std::abs(d), 1);
}

TEST(EdfQueue, NoTurnIsLostBetweenTheStartAndWhatFollows) {
  RandomSource random(7);
  const std::vector<double> weights = {1, 2, 3};
  for (int round = 0; round < 2000; ++round) {
    const uint32_t start = static_cast<uint32_t>(random.Next());
    EdfQueue queue = Make(weights, start);
    PickN(queue, weights, 1);
    std::vector<int> counts(3);
    for (const uint32_t member : PickN(queue, weights, 60)) ++counts[member];
    ASSERT_THAT(counts, ElementsAre(10, 20, 30)) << start;
  }
}

}  // namespace
}  // namespace remora::lb
