// The same key reaches the same endpoint, and weighted rotation the same order, as with Envoy.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lb/hash_key.h"
#include "lb/policy.h"
#include "tests/lb/envoy_answers.h"
#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using testing::HostPool;

constexpr uint16_t kPort = 21999;

struct Endpoint {
  std::string place;  // X.Y of 127.0.X.Y
  uint32_t weight = 1;
  uint32_t flags = 0;
  uint32_t priority = 0;
  std::string zone = "";
  std::string hash_key = "";
};

std::vector<Endpoint> Endpoints(int count, const std::vector<uint32_t>& weights = {1}) {
  std::vector<Endpoint> endpoints;
  for (int i = 0; i < count; ++i) {
    endpoints.push_back({absl::StrCat("1.", i + 1), weights[i % weights.size()]});
  }
  return endpoints;
}

std::vector<Endpoint> Zones() {
  std::vector<Endpoint> endpoints;
  // As the configuration lists them: locality by locality.
  for (const int i : {0, 2, 4, 1, 3, 5}) {
    endpoints.push_back({absl::StrCat("1.", i + 1), 1u + i % 3, 0, 0, i % 2 == 0 ? "a" : "b"});
  }
  return endpoints;
}

class EnvoyAgreement : public ::testing::Test {
 protected:
  std::unique_ptr<Picker> Make(const PolicyConfig& config, const std::vector<Endpoint>& endpoints,
                               uint64_t seed = 0) {
    HostTable::Builder builder({});
    builder.SetLocalityWeight(0, {"", "a", ""}, 1);
    builder.SetLocalityWeight(0, {"", "b", ""}, 4);
    for (const Endpoint& endpoint : endpoints) {
      auto attributes = std::make_shared<HostAttributes>();
      attributes->hash_key = endpoint.hash_key;
      const auto host = pool_.Get(absl::StrCat("127.0.", endpoint.place), kPort);
      host->state().flags.store(endpoint.flags);
      builder.Add(host, endpoint.weight, endpoint.priority, {"", endpoint.zone, ""}, attributes);
    }
    policy_ = *MakePolicy(config, HostSet::Make(builder.Build()), nullptr);
    return policy_->MakePicker(nullptr, seed, TimePoint(0));
  }

  static std::string Place(const Choice& choice) {
    const std::string& address = choice.host->address_string();
    return address.substr(6, address.find(':') - 6);
  }

  void ExpectAgrees(const PolicyConfig& config, const std::vector<Endpoint>& endpoints,
                    absl::string_view answers) {
    const std::unique_ptr<Picker> picker = Make(config, endpoints);
    RandomSource random(1);
    int i = 0;
    for (const absl::string_view place : absl::StrSplit(answers, ' ')) {
      PickContext ctx(random, TimePoint(0));
      HashKey key;
      const std::string value = absl::StrCat("key", i++);
      key.Add(value);
      ctx.hash = key.value();
      ctx.has_hash = true;
      EXPECT_EQ(Place(picker->Pick(ctx)), std::string(place)) << value;
    }
    EXPECT_EQ(i, 100);
  }

  // Envoy's start is random, 32 bits of picks in advance: some of as many starts gives its order,
  // rounding included.
  void ExpectSomeStartAgrees(const std::vector<Endpoint>& endpoints, absl::string_view answers) {
    RandomSource seeds(1);
    std::vector<std::string> wanted = absl::StrSplit(answers, ' ');
    const std::unique_ptr<Picker> first = Make({RoundRobinConfig()}, endpoints);
    for (int attempt = 0; attempt < 2000; ++attempt) {
      const std::unique_ptr<Picker> picker =
          policy_->MakePicker(nullptr, seeds.Next(), TimePoint(0));
      RandomSource random(1);
      std::vector<std::string> places;
      for (size_t i = 0; i < wanted.size(); ++i) {
        PickContext ctx(random, TimePoint(0));
        places.push_back(Place(picker->Pick(ctx)));
      }
      if (places == wanted) return;
    }
    ADD_FAILURE() << "no start gives Envoy's order";
  }

  HostPool pool_;
  std::shared_ptr<const Policy> policy_;
};

RingHashConfig Ring(uint64_t least, uint64_t most = 8 * 1024 * 1024) {
  RingHashConfig config;
  config.minimum_ring_size = least;
  config.maximum_ring_size = most;
  return config;
}

MaglevConfig Maglev(uint64_t size) {
  MaglevConfig config;
  config.table_size = size;
  return config;
}

PolicyConfig ByLocality(PolicyConfig config) {
  config.locality_mode = LocalityMode::kWeighted;
  return config;
}

TEST_F(EnvoyAgreement, RingOfEqualWeights) {
  ExpectAgrees({RingHashConfig()}, Endpoints(5), testing::kRingEven);
}

TEST_F(EnvoyAgreement, RingByWeight) {
  ExpectAgrees({Ring(4096)}, Endpoints(7, {1, 3, 10}), testing::kRingWeights);
}

TEST_F(EnvoyAgreement, RingCappedByItsMaximum) {
  ExpectAgrees({Ring(64, 100)}, Endpoints(30, {1, 2, 50}), testing::kRingCapped);
}

TEST_F(EnvoyAgreement, RingOfMurmurHash2) {
  RingHashConfig config;
  config.hash_function = HashFunction::kMurmurHash2;
  ExpectAgrees({config}, Endpoints(5), testing::kRingMurmur);
}

TEST_F(EnvoyAgreement, RingByHashKeyOfTheMetadata) {
  std::vector<Endpoint> endpoints = Endpoints(4);
  for (int i = 0; i < 4; ++i) endpoints[i].hash_key = absl::StrCat("key-", i);
  ExpectAgrees({RingHashConfig()}, endpoints, testing::kRingKey);
}

TEST_F(EnvoyAgreement, RingByWeightedLocality) {
  ExpectAgrees(ByLocality({RingHashConfig()}), Zones(), testing::kRingZones);
}

TEST_F(EnvoyAgreement, MaglevOfEqualWeights) {
  ExpectAgrees({MaglevConfig()}, Endpoints(5), testing::kMaglevEven);
}

TEST_F(EnvoyAgreement, MaglevDoesNotDependOnTheOrderOfHosts) {
  std::vector<Endpoint> endpoints = Endpoints(40);
  ExpectAgrees({Maglev(1009)}, endpoints, testing::kMaglevOrder);
  std::reverse(endpoints.begin(), endpoints.end());
  ExpectAgrees({Maglev(1009)}, endpoints, testing::kMaglevOrder);
}

TEST_F(EnvoyAgreement, MaglevByWeight) {
  ExpectAgrees({Maglev(5003)}, Endpoints(11, {1, 3, 10}), testing::kMaglevWeights);
}

TEST_F(EnvoyAgreement, MaglevByWeightedLocality) {
  ExpectAgrees(ByLocality({MaglevConfig()}), Zones(), testing::kMaglevZones);
}

TEST_F(EnvoyAgreement, MaglevSpillsOverToTheNextPriorityByHash) {
  std::vector<Endpoint> endpoints = Endpoints(6);
  for (int i = 0; i < 3; ++i) endpoints[i].flags = kFailedEdsHealth;
  for (int i = 1; i <= 3; ++i) endpoints.push_back({absl::StrCat("2.", i), 1, 0, 1});
  ExpectAgrees({MaglevConfig()}, endpoints, testing::kMaglevSpill);
}

TEST_F(EnvoyAgreement, TablesHaveTheFiguresOfItsStatistics) {
  const auto expect = [&](const PolicyConfig& config, const std::vector<Endpoint>& endpoints,
                          std::vector<uint64_t> wanted) {
    Make(config, endpoints);
    const PolicyFigures figures = policy_->figures();
    EXPECT_EQ(
        (std::vector<uint64_t>{figures.table_size, figures.min_per_host, figures.max_per_host}),
        wanted);
  };
  expect({RingHashConfig()}, Endpoints(5), {1025, 205, 205});
  expect({Ring(4096)}, Endpoints(7, {1, 3, 10}), {4118, 142, 1420});
  expect({Ring(64, 100)}, Endpoints(30, {1, 2, 50}), {100, 0, 9});
  expect(ByLocality({RingHashConfig()}), Zones(), {1050, 35, 420});
  expect({MaglevConfig()}, Endpoints(5), {65537, 13107, 13108});
  expect({Maglev(5003)}, Endpoints(11, {1, 3, 10}), {5003, 109, 1087});
  expect(ByLocality({MaglevConfig()}), Zones(), {65537, 2185, 26214});
}

TEST_F(EnvoyAgreement, RoundRobinOfEqualWeights) {
  ExpectSomeStartAgrees(Endpoints(5), testing::kRrEven);
}

TEST_F(EnvoyAgreement, RoundRobinByWeight) {
  ExpectSomeStartAgrees(Endpoints(3, {1, 2, 3}), testing::kRr123);
  ExpectSomeStartAgrees(Endpoints(5, {7, 1, 4, 4, 2}), testing::kRrOdd);
}

}  // namespace
}  // namespace remora::lb
