// Which hosts a request with labels may reach, by the whole table of fallbacks.

#include "lb/subset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lb/policy.h"
#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using testing::ChiSquare;
using testing::ChiSquareLimit;
using ::testing::ElementsAre;
using testing::HostPool;
using testing::IpOf;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Labels = std::map<std::string, std::string>;
using Own = SubsetSelector::Fallback;

struct Labelled {
  std::string ip;
  Labels labels;
  uint32_t flags = 0;
  std::vector<std::string> elements = {};  // of the label "list"
};

class SubsetTest : public ::testing::Test {
 protected:
  SubsetTest() {
    subset_.selectors = {Selector({"stage"}), Selector({"stage", "version"})};
    hosts_ = {{"1.0.0.1", {{"stage", "prod"}, {"version", "1"}}},
              {"1.0.0.2", {{"stage", "prod"}, {"version", "2"}}},
              {"1.0.0.3", {{"stage", "dev"}, {"version", "2"}}}};
  }

  static SubsetSelector Selector(std::vector<std::string> keys, Own fallback = Own::kNotDefined,
                                 std::vector<std::string> fallback_keys = {}) {
    SubsetSelector selector;
    selector.keys = std::move(keys);
    selector.fallback = fallback;
    selector.fallback_keys = std::move(fallback_keys);
    return selector;
  }

  void Build() {
    HostTable::Builder builder({});
    for (const Labelled& host : hosts_) {
      auto attributes = std::make_shared<HostAttributes>();
      for (const auto& [key, value] : host.labels) attributes->labels.push_back({key, value, {}});
      if (!host.elements.empty()) attributes->labels.push_back({"list", "[...]", host.elements});
      auto known = pool_.Get(host.ip);
      known->state().flags = host.flags;
      builder.Add(known, 1, 0, Locality(), attributes);
    }
    config_.subset = std::make_shared<const SubsetConfig>(subset_);
    auto made = MakePolicy(config_, HostSet::Make(builder.Build()), nullptr);
    ASSERT_TRUE(made.ok()) << made.status();
    policy_ = *made;
    auto next = policy_->MakePicker(picker_.get(), 0, TimePoint(0));
    picker_ = std::move(next);
    kept_.push_back(policy_);
  }

  Choice PickOne(const Criteria* criteria) {
    PickContext context(random_, TimePoint(0));
    context.criteria = criteria;
    const Choice choice = picker_->Pick(context);
    notes_ = context.notes;
    return choice;
  }

  static Criteria Asking(const Labels& labels) {
    Criteria criteria;
    for (const auto& [key, value] : labels) criteria.all.push_back({key, value});
    return criteria;
  }

  std::set<std::string> Reached(const Labels& labels) { return ReachedBy(Asking(labels)); }
  std::set<std::string> ReachedBy(const Criteria& criteria) {
    std::set<std::string> ips;
    for (int i = 0; i < 12; ++i) {
      if (const Choice choice = PickOne(&criteria)) ips.insert(IpOf(choice));
    }
    return ips;
  }

  HostPool pool_;
  std::vector<Labelled> hosts_;
  SubsetConfig subset_;
  PolicyConfig config_;
  std::vector<std::shared_ptr<const Policy>> kept_;
  std::shared_ptr<const Policy> policy_;
  std::unique_ptr<Picker> picker_;
  RandomSource random_{7};
  uint32_t notes_ = 0;
};

TEST_F(SubsetTest, RequestsReachTheHostsWithTheLabelsTheyAskFor) {
  Build();
  EXPECT_THAT(Reached({{"stage", "prod"}}), ElementsAre("1.0.0.1", "1.0.0.2"));
  EXPECT_THAT(Reached({{"stage", "dev"}}), ElementsAre("1.0.0.3"));
  EXPECT_THAT(Reached({{"stage", "prod"}, {"version", "2"}}), ElementsAre("1.0.0.2"));
  EXPECT_EQ(notes_, kNoteSubsetSelected);
  EXPECT_EQ(policy_->figures().subsets, 5u);
}

TEST_F(SubsetTest, WithoutFallbackNoOtherHostIsReached) {
  Build();
  EXPECT_THAT(Reached({{"stage", "none"}}), IsEmpty());
  EXPECT_THAT(Reached({{"version", "2"}}), IsEmpty());  // keys of no selector
  EXPECT_FALSE(PickOne(nullptr));
  EXPECT_EQ(notes_, 0u);
}

TEST_F(SubsetTest, AnyHostIsTheFallback) {
  subset_.fallback = SubsetConfig::Fallback::kAny;
  Build();
  EXPECT_THAT(Reached({{"stage", "none"}}), ElementsAre("1.0.0.1", "1.0.0.2", "1.0.0.3"));
  EXPECT_EQ(notes_, kNoteSubsetFallback);
}

TEST_F(SubsetTest, TheDefaultSubsetIsTheFallbackAndAnyHostInItsPanic) {
  subset_.fallback = SubsetConfig::Fallback::kDefault;
  subset_.default_subset = {{"stage", "dev"}};
  Build();
  EXPECT_THAT(Reached({{"stage", "none"}}), ElementsAre("1.0.0.3"));
  subset_.default_subset = {{"stage", "nowhere"}};
  Build();
  EXPECT_THAT(Reached({{"stage", "none"}}), IsEmpty());
  subset_.panic_mode_any = true;
  Build();
  EXPECT_EQ(Reached({{"stage", "none"}}).size(), 3u);
  EXPECT_TRUE(notes_ & kNoteSubsetFallbackPanic);
}

TEST_F(SubsetTest, ASelectorsOwnFallbackGoesFirst) {
  subset_.fallback = SubsetConfig::Fallback::kAny;
  subset_.default_subset = {{"version", "1"}};
  subset_.selectors = {Selector({"stage"}, Own::kDefault),
                       Selector({"stage", "version"}, Own::kKeys, {"stage"}),
                       Selector({"version"}, Own::kNone)};
  Build();
  EXPECT_THAT(Reached({{"stage", "none"}}), ElementsAre("1.0.0.1"));
  EXPECT_EQ(notes_, 0u);
  EXPECT_THAT(Reached({{"stage", "prod"}, {"version", "9"}}), ElementsAre("1.0.0.1", "1.0.0.2"));
  // With fewer keys the next selector has its say.
  EXPECT_THAT(Reached({{"stage", "none"}, {"version", "9"}}), ElementsAre("1.0.0.1"));
  EXPECT_THAT(Reached({{"version", "9"}}), IsEmpty());
}

TEST_F(SubsetTest, RedundantKeysAreLeftOutByTheFirstSelectorThatFits) {
  subset_.allow_redundant_keys = true;
  subset_.selectors = {Selector({"stage", "version"}), Selector({"stage"})};
  Build();
  EXPECT_THAT(Reached({{"more", "x"}, {"stage", "prod"}, {"version", "2"}}),
              ElementsAre("1.0.0.2"));
  EXPECT_THAT(Reached({{"more", "x"}, {"stage", "prod"}}), ElementsAre("1.0.0.1", "1.0.0.2"));
}

TEST_F(SubsetTest, AListIsAnyOfItsMembersWhenSaid) {
  subset_.selectors = {Selector({"list"})};
  hosts_ = {{"1.0.0.1", {}, 0, {"a", "b"}}, {"1.0.0.2", {}, 0, {"b"}}};
  Build();
  EXPECT_THAT(Reached({{"list", "b"}}), IsEmpty());
  EXPECT_THAT(Reached({{"list", "[...]"}}), UnorderedElementsAre("1.0.0.1", "1.0.0.2"));
  subset_.list_as_any = true;
  Build();
  EXPECT_THAT(Reached({{"list", "a"}}), ElementsAre("1.0.0.1"));
  EXPECT_THAT(Reached({{"list", "b"}}), UnorderedElementsAre("1.0.0.1", "1.0.0.2"));
}

TEST_F(SubsetTest, TheFirstHostIsAWholeSubsetOfOne) {
  subset_.selectors = {Selector({"version"})};
  subset_.selectors[0].single_host = true;
  Build();
  EXPECT_THAT(Reached({{"version", "2"}}), ElementsAre("1.0.0.2"));
  EXPECT_EQ(policy_->figures().single_host_duplicates, 1u);
}

TEST_F(SubsetTest, FallbacksOfTheRequestAreTriedInTurn) {
  subset_.metadata_fallback_list = true;
  Build();
  Criteria criteria = Asking({{"fallback_list", "[...]"}, {"version", "2"}});
  criteria.fallbacks = {Asking({{"stage", "none"}}).all, Asking({{"stage", "dev"}}).all};
  EXPECT_THAT(ReachedBy(criteria), ElementsAre("1.0.0.3"));
  criteria.fallbacks = {Asking({{"stage", "none"}}).all};
  EXPECT_THAT(ReachedBy(criteria), IsEmpty());
}

TEST_F(SubsetTest, UnhealthyHostsOfASubsetAreUsedInItsOwnPanicOnly) {
  subset_.fallback = SubsetConfig::Fallback::kAny;
  hosts_[2].flags = kFailedActiveHc;
  Build();
  EXPECT_THAT(Reached({{"stage", "dev"}}), ElementsAre("1.0.0.3"));
  EXPECT_TRUE(notes_ & kNoteHealthyPanic);
  config_.panic_threshold = 0;
  Build();
  EXPECT_THAT(Reached({{"stage", "dev"}}), IsEmpty());
}

TEST_F(SubsetTest, PicksWithinASubsetAreFair) {
  config_.algorithm = RandomConfig();
  hosts_.clear();
  for (int i = 0; i < 10; ++i) {
    hosts_.push_back({"1.0.0." + std::to_string(i + 1), {{"stage", i < 5 ? "prod" : "dev"}}});
  }
  Build();
  const Criteria criteria = Asking({{"stage", "prod"}});
  std::map<std::string, double> counts;
  for (int i = 0; i < 5000; ++i) ++counts[IpOf(PickOne(&criteria))];
  std::vector<double> observed;
  for (const auto& [ip, count] : counts) observed.push_back(count);
  ASSERT_EQ(observed.size(), 5u);
  EXPECT_LT(ChiSquare(observed, std::vector<double>(5, 1000)), ChiSquareLimit(4));
}

TEST_F(SubsetTest, AnUpdateGoesOnWithTheRotationOfASubset) {
  Build();
  const Criteria criteria = Asking({{"stage", "prod"}});
  const std::string first = IpOf(PickOne(&criteria));
  Build();
  EXPECT_NE(IpOf(PickOne(&criteria)), first);
}

TEST(SubsetConfigTest, FallbackKeysMustBeSomeOfTheSelectorsKeys) {
  SubsetConfig config;
  config.selectors.resize(1);
  SubsetSelector& selector = config.selectors[0];
  selector.keys = {"a", "b"};
  selector.fallback = Own::kKeys;
  EXPECT_FALSE(CheckSubsets(config).ok());
  selector.fallback_keys = {"c"};
  EXPECT_FALSE(CheckSubsets(config).ok());
  selector.fallback_keys = {"a", "b"};
  EXPECT_FALSE(CheckSubsets(config).ok());
  selector.fallback_keys = {"a"};
  EXPECT_TRUE(CheckSubsets(config).ok());
}

}  // namespace
}  // namespace remora::lb
