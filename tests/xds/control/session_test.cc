#include "xds/control/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr Type kCds = Type::kCluster;
constexpr Type kEds = Type::kEndpoint;
constexpr Type kLds = Type::kListener;
constexpr Type kRds = Type::kRoute;
constexpr Type kSds = Type::kSecret;

struct Entry {
  Type type;
  std::string name;
  std::string version = "1";
};

std::shared_ptr<const NodeResources> World(const std::vector<Entry>& entries) {
  auto world = std::make_shared<NodeResources>();
  for (const Entry& e : entries) {
    world->Of(e.type)[e.name] = std::make_shared<const Resource>(Resource{e.version, "body"});
  }
  return world;
}

// One client of a session: asks, and answers what it was told last.
class Client {
 public:
  explicit Client(Spelling spelling, std::shared_ptr<const NodeResources> world = World({}))
      : session_(spelling) {
    session_.SetResources(std::move(world));
  }

  void Set(const std::vector<Entry>& entries) { session_.SetResources(World(entries)); }

  // The first request of a type, or (delta) one that changes what is asked.
  void Ask(Type type, std::vector<std::string> names = {},
           std::map<std::string, std::string> known = {}) {
    Send({std::string(TypeUrl(type)), "", std::nullopt, std::move(names), {}, std::move(known)});
    asked_[type] = names;
  }
  void Leave(Type type, std::vector<std::string> names) {
    Send({std::string(TypeUrl(type)), "", std::nullopt, {}, std::move(names), {}});
  }
  // Answers the last response of the type; the list is of state of the world.
  void Ack(Type type, std::vector<std::string> names = {}) {
    Send({std::string(TypeUrl(type)), nonce_[type], std::nullopt, std::move(names), {}, {}});
  }
  std::optional<std::string> Nack(Type type, const std::string& why,
                                  std::vector<std::string> names = {}) {
    return Send({std::string(TypeUrl(type)), nonce_[type], why, std::move(names), {}, {}});
  }
  std::optional<std::string> Send(const DiscoveryAsk& ask) {
    auto taken = session_.OnAsk(ask, now_);
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.ok() ? *taken : std::nullopt;
  }

  // What is said next: "CDS a b -gone", or "" for nothing.
  std::string Hear() {
    std::optional<DiscoveryAnswer> answer = session_.Next(now_);
    if (!answer.has_value()) return "";
    static const char* const kNames[] = {"CDS", "EDS", "LDS", "RDS", "SDS"};
    std::string out = kNames[static_cast<size_t>(answer->type)];
    for (const auto& [name, resource] : answer->resources) {
      out += " " + name + (resource->version == "1" ? "" : "@" + resource->version);
    }
    for (const std::string& name : answer->removed) out += " -" + name;
    nonce_[answer->type] = answer->nonce;
    version_ = answer->version;
    return out;
  }
  void Pass(absl::Duration time) { now_ += time; }
  absl::Time WakeUp() const { return session_.NextCheck(); }
  absl::Time now() const { return now_; }
  const std::string& version() const { return version_; }
  Session& session() { return session_; }

 private:
  Session session_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::map<Type, std::string> nonce_;
  std::map<Type, std::vector<std::string>> asked_;
  std::string version_;
};

class BothSpellings : public testing::TestWithParam<Spelling> {};
INSTANTIATE_TEST_SUITE_P(Session, BothSpellings, testing::Values(Spelling::kSotw, Spelling::kDelta),
                         [](const auto& spelling) {
                           return spelling.param == Spelling::kSotw ? "Sotw" : "Delta";
                         });

TEST_P(BothSpellings, SaysNothingUnasked) {
  Client client(GetParam(), World({{kCds, "a"}, {kLds, "l"}}));
  EXPECT_EQ(client.Hear(), "");
}

TEST_P(BothSpellings, NoNamesMeansAllClustersAndListeners) {
  Client client(GetParam(), World({{kCds, "a"}, {kCds, "b"}, {kLds, "l"}}));
  client.Ask(kCds);
  EXPECT_EQ(client.Hear(), "CDS a b");
  EXPECT_EQ(client.Hear(), "") << "one open response per type";
  client.Ack(kCds);
  EXPECT_EQ(client.Hear(), "") << "an answer is not a question";
}

TEST_P(BothSpellings, AnEmptyWorldIsSaidToo) {
  Client client(GetParam());
  client.Ask(kCds);
  EXPECT_EQ(client.Hear(), "CDS") << "the client waits for its first answer";
}

TEST_P(BothSpellings, AStarMeansAll) {
  Client client(GetParam(), World({{kCds, "a"}, {kCds, "b"}}));
  client.Ask(kCds, {"*"});
  EXPECT_EQ(client.Hear(), "CDS a b");
}

TEST_P(BothSpellings, NamedClustersComeAlone) {
  Client client(GetParam(), World({{kCds, "a"}, {kCds, "b"}}));
  client.Ask(kCds, {"b"});
  EXPECT_EQ(client.Hear(), "CDS b");
}

TEST_P(BothSpellings, NoNamesMeansNoEndpoints) {
  Client client(GetParam(), World({{kEds, "a"}}));
  client.Ask(kEds);
  EXPECT_EQ(client.Hear(), "");
}

TEST_P(BothSpellings, ChangesAreToldOnceAnswered) {
  Client client(GetParam(), World({{kCds, "a"}}));
  client.Ask(kCds);
  EXPECT_EQ(client.Hear(), "CDS a");
  client.Set({{kCds, "a", "2"}});
  client.Set({{kCds, "a", "3"}});
  EXPECT_EQ(client.Hear(), "") << "the first response is not answered yet";
  client.Ack(kCds);
  EXPECT_EQ(client.Hear(), "CDS a@3") << "what lies between is skipped";
  client.Ack(kCds);
  client.Set({{kCds, "a", "3"}});
  EXPECT_EQ(client.Hear(), "") << "the same again is no news";
}

TEST_P(BothSpellings, ARejectedResponseIsReportedAndNotRepeated) {
  Client client(GetParam(), World({{kLds, "l"}}));
  client.Ask(kLds);
  EXPECT_EQ(client.Hear(), "LDS l");
  EXPECT_EQ(client.Nack(kLds, "bad address"), "bad address");
  EXPECT_EQ(client.Hear(), "");
  client.Set({{kLds, "l", "2"}});
  EXPECT_EQ(client.Hear(), "LDS l@2");
}

TEST_P(BothSpellings, UnknownTypesAreLeftUnanswered) {
  Client client(GetParam());
  client.Send({"type.googleapis.com/envoy.service.runtime.v3.Runtime", "", {}, {"r"}, {}, {}});
  EXPECT_EQ(client.Hear(), "");
}

TEST_P(BothSpellings, VersionsFollowTheContent) {
  Client one(GetParam(), World({{kCds, "a"}}));
  one.Ask(kCds);
  one.Hear();
  const std::string first = one.version();
  one.Ack(kCds);
  one.Set({{kCds, "a", "2"}});
  one.Hear();
  EXPECT_NE(one.version(), first);
  Client two(GetParam(), World({{kCds, "a"}}));
  two.Ask(kCds);
  two.Hear();
  EXPECT_EQ(two.version(), first) << "also on another stream";
}

TEST_P(BothSpellings, ANewClusterIsThereBeforeTheRouteToIt) {
  const bool sotw = GetParam() == Spelling::kSotw;
  Client client(GetParam(), World({{kCds, "a"}, {kEds, "a"}, {kLds, "l"}, {kRds, "r"}}));
  client.Ask(kCds);
  EXPECT_EQ(client.Hear(), "CDS a");
  client.Ask(kEds, {"a"});
  client.Ack(kCds);
  EXPECT_EQ(client.Hear(), "EDS a");
  client.Ack(kEds, sotw ? std::vector<std::string>{"a"} : std::vector<std::string>{});
  client.Ask(kLds);
  EXPECT_EQ(client.Hear(), "LDS l");
  client.Ack(kLds);
  client.Ask(kRds, {"r"});
  EXPECT_EQ(client.Hear(), "RDS r");
  client.Ack(kRds, sotw ? std::vector<std::string>{"r"} : std::vector<std::string>{});

  client.Set({{kCds, "a"}, {kCds, "b"}, {kEds, "a"}, {kEds, "b"}, {kLds, "l"}, {kRds, "r", "2"}});
  EXPECT_EQ(client.Hear(), sotw ? "CDS a b" : "CDS b");
  EXPECT_EQ(client.Hear(), "") << "the route waits for the cluster";
  client.Ack(kCds);
  EXPECT_EQ(client.Hear(), "") << "and for the client to ask for its endpoints";
  if (sotw) {
    client.Ack(kEds, {"a", "b"});
  } else {
    client.Ask(kEds, {"b"});
  }
  EXPECT_EQ(client.Hear(), sotw ? "EDS a b" : "EDS b");
  EXPECT_EQ(client.Hear(), "") << "and to have them";
  client.Ack(kEds, sotw ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{});
  EXPECT_EQ(client.Hear(), "RDS r@2");
}

TEST_P(BothSpellings, AClientThatWantsNoEndpointsIsNotWaitedForLong) {
  Client client(GetParam(), World({{kCds, "a"}, {kEds, "a"}, {kLds, "l"}}));
  client.Ask(kCds);
  client.Hear();
  client.Ack(kCds);
  client.Ask(kLds);
  EXPECT_EQ(client.Hear(), "");
  ASSERT_LT(client.WakeUp(), client.now() + absl::Seconds(5));
  client.Pass(client.WakeUp() - client.now());
  EXPECT_EQ(client.Hear(), "LDS l");
  client.Ack(kLds);
  client.Hear();
  EXPECT_EQ(client.WakeUp(), absl::InfiniteFuture());
}

TEST_P(BothSpellings, AClusterStaysUntilTheRoutesThatLeftItAreAnswered) {
  const bool sotw = GetParam() == Spelling::kSotw;
  const std::vector<std::string> routes =
      sotw ? std::vector<std::string>{"r"} : std::vector<std::string>{};
  Client client(GetParam(), World({{kCds, "a"}, {kCds, "b"}, {kRds, "r"}}));
  client.Ask(kCds);
  client.Hear();
  client.Ack(kCds);
  client.Ask(kRds, {"r"});
  EXPECT_EQ(client.Hear(), "RDS r");
  client.Ack(kRds, routes);

  client.Set({{kCds, "b"}, {kRds, "r", "2"}});
  EXPECT_EQ(client.Hear(), "RDS r@2");
  EXPECT_EQ(client.Hear(), "");
  client.Ack(kRds, routes);
  EXPECT_EQ(client.Hear(), sotw ? "CDS b" : "CDS -a");
}

TEST_P(BothSpellings, AClusterThatComesBackWhileItLeavesNeverLeft) {
  Client client(GetParam(), World({{kCds, "a"}, {kRds, "r"}}));
  client.Ask(kCds);
  client.Hear();
  client.Ack(kCds);
  client.Ask(kRds, {"r"});
  client.Hear();
  client.Set({{kRds, "r"}});
  client.Set({{kCds, "a"}, {kRds, "r"}});
  client.Ack(kRds, {"r"});
  EXPECT_EQ(client.Hear(), GetParam() == Spelling::kSotw ? "" : "RDS r");
  EXPECT_EQ(client.Hear(), "");
}

TEST_P(BothSpellings, SecretsWaitForNothing) {
  Client client(GetParam(), World({{kCds, "a"}, {kSds, "identity"}}));
  client.Ask(kCds);
  client.Hear();
  client.Ask(kSds, {"identity"});
  EXPECT_EQ(client.Hear(), "SDS identity") << "the open cluster may need it to warm";
}

TEST_P(BothSpellings, EndpointsAreToldAgainAfterTheirCluster) {
  const bool sotw = GetParam() == Spelling::kSotw;
  Client client(GetParam(), World({{kCds, "a"}, {kCds, "b"}, {kEds, "a"}, {kEds, "b"}}));
  client.Ask(kCds);
  client.Hear();
  client.Ack(kCds);
  client.Ask(kEds, {"a", "b"});
  EXPECT_EQ(client.Hear(), "EDS a b");
  client.Ack(kEds, sotw ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{});
  client.Set({{kCds, "a", "2"}, {kCds, "b"}, {kEds, "a"}, {kEds, "b"}});
  EXPECT_EQ(client.Hear(), sotw ? "CDS a@2 b" : "CDS a@2");
  EXPECT_EQ(client.Hear(), sotw ? "EDS a b" : "EDS a");
}

TEST_P(BothSpellings, TooManyNamesEndTheStream) {
  Client client(GetParam());
  DiscoveryAsk ask{std::string(TypeUrl(kEds)), "", {}, {}, {}, {}};
  for (int i = 0; i < 70000; ++i) ask.names.push_back(std::to_string(i));
  EXPECT_EQ(client.session().OnAsk(ask, client.now()).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(SotwSession, NewNamesAreAnsweredWithTheWholeList) {
  Client client(Spelling::kSotw, World({{kEds, "a"}, {kEds, "b"}}));
  client.Ask(kEds, {"a"});
  EXPECT_EQ(client.Hear(), "EDS a");
  client.Ack(kEds, {"a", "b"});
  EXPECT_EQ(client.Hear(), "EDS a b");
  client.Ack(kEds, {"b"});
  EXPECT_EQ(client.Hear(), "") << "fewer names need no answer";
}

TEST(SotwSession, StaleNoncesAreIgnored) {
  Client client(Spelling::kSotw, World({{kEds, "a"}, {kEds, "b"}}));
  client.Ask(kEds, {"a"});
  client.Hear();
  client.Ack(kEds, {"a"});
  client.Set({{kEds, "a", "2"}, {kEds, "b"}});
  EXPECT_EQ(client.Hear(), "EDS a@2");
  client.Send({std::string(TypeUrl(kEds)), "1", std::nullopt, {"a", "b"}, {}, {}});
  EXPECT_EQ(client.Hear(), "");
  client.Ack(kEds, {"a", "b"});
  EXPECT_EQ(client.Hear(), "EDS a@2 b");
}

TEST(SotwSession, MissingEndpointsAreWaitedForInSilence) {
  Client client(Spelling::kSotw);
  client.Ask(kEds, {"a"});
  EXPECT_EQ(client.Hear(), "");
  client.Set({{kEds, "a"}});
  EXPECT_EQ(client.Hear(), "EDS a");
}

TEST(SotwSession, AMissingClusterIsToldByItsAbsence) {
  Client client(Spelling::kSotw, World({{kCds, "b"}}));
  client.Ask(kCds, {"a"});
  EXPECT_EQ(client.Hear(), "CDS");
}

TEST(SotwSession, AnEmptyListAfterNamesMeansNothing) {
  Client client(Spelling::kSotw, World({{kCds, "a"}, {kCds, "b"}}));
  client.Ask(kCds, {"a"});
  client.Hear();
  client.Ack(kCds, {});
  client.Set({{kCds, "a", "2"}, {kCds, "b"}});
  EXPECT_EQ(client.Hear(), "");
}

TEST(DeltaSession, OnlyChangesAndRemovalsAreTold) {
  Client client(Spelling::kDelta, World({{kCds, "a"}, {kCds, "b"}, {kCds, "c"}}));
  client.Ask(kCds);
  EXPECT_EQ(client.Hear(), "CDS a b c");
  client.Ack(kCds);
  client.Set({{kCds, "a"}, {kCds, "b", "2"}});
  EXPECT_EQ(client.Hear(), "CDS b@2 -c");
}

TEST(DeltaSession, MissingNamesAreToldAsRemoved) {
  Client client(Spelling::kDelta, World({{kEds, "a"}}));
  client.Ask(kEds, {"a", "x"});
  EXPECT_EQ(client.Hear(), "EDS a -x");
}

TEST(DeltaSession, AClientThatComesBackHearsOnlyWhatItMissed) {
  Client client(Spelling::kDelta, World({{kCds, "a"}, {kCds, "b", "2"}}));
  client.Ask(kCds, {}, {{"a", "1"}, {"b", "1"}, {"gone", "1"}});
  EXPECT_EQ(client.Hear(), "CDS b@2 -gone");
  client.Ask(kEds, {"e"}, {{"e", "1"}});
  EXPECT_EQ(client.Hear(), "EDS -e");
}

TEST(DeltaSession, AskingAgainIsAnsweredAgain) {
  Client client(Spelling::kDelta, World({{kEds, "a"}}));
  client.Ask(kEds, {"a"});
  EXPECT_EQ(client.Hear(), "EDS a");
  client.Ack(kEds);
  client.Ask(kEds, {"a"});
  EXPECT_EQ(client.Hear(), "EDS a");
}

TEST(DeltaSession, LeftNamesAreNotToldAnyMore) {
  Client client(Spelling::kDelta, World({{kEds, "a"}, {kEds, "b"}}));
  client.Ask(kEds, {"a", "b"});
  client.Hear();
  client.Ack(kEds);
  client.Leave(kEds, {"a"});
  client.Set({{kEds, "a", "2"}, {kEds, "b", "2"}});
  EXPECT_EQ(client.Hear(), "EDS b@2");
}

TEST(DeltaSession, ANameLeftThatTheWildcardHoldsIsConfirmed) {
  Client client(Spelling::kDelta, World({{kCds, "a"}}));
  client.Ask(kCds, {"*", "a"});
  client.Hear();
  client.Ack(kCds);
  client.Leave(kCds, {"a"});
  EXPECT_EQ(client.Hear(), "CDS a");
  client.Ack(kCds);
  client.Leave(kCds, {"*"});
  client.Set({{kCds, "a", "2"}});
  EXPECT_EQ(client.Hear(), "");
}

}  // namespace
}  // namespace remora::control
