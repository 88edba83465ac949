#include "xds/ads_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/service/discovery/v3/discovery.pb.h"

namespace remora::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr char kCds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr char kEds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr char kLds[] = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr char kRds[] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

std::string NodeBytes() {
  envoy::config::core::v3::Node node;
  node.set_id("n");
  return node.SerializeAsString();
}

AdsSession Make(Spelling spelling, bool node_once = false) {
  return AdsSession({spelling, NodeBytes(), node_once});
}

discovery::DiscoveryRequest NextSotw(AdsSession& session) {
  discovery::DiscoveryRequest request;
  const auto bytes = session.NextRequest();
  EXPECT_TRUE(bytes && request.ParseFromString(*bytes));
  return request;
}

discovery::DeltaDiscoveryRequest NextDelta(AdsSession& session) {
  discovery::DeltaDiscoveryRequest request;
  const auto bytes = session.NextRequest();
  EXPECT_TRUE(bytes && request.ParseFromString(*bytes));
  return request;
}

Response GiveSotw(AdsSession& session, const std::string& type, const std::string& version,
                  const std::string& nonce) {
  discovery::DiscoveryResponse message;
  message.set_type_url(type);
  message.set_version_info(version);
  message.set_nonce(nonce);
  const auto given = session.OnMessage(message.SerializeAsString());
  EXPECT_TRUE(given.ok() && given->has_value());
  return **given;
}

Response GiveDelta(AdsSession& session, const std::string& type, const std::string& nonce,
                   const std::map<std::string, std::string>& versions,
                   const std::vector<std::string>& removed = {}) {
  discovery::DeltaDiscoveryResponse message;
  message.set_type_url(type);
  message.set_nonce(nonce);
  for (const auto& [name, version] : versions) {
    auto* resource = message.add_resources();
    resource->set_name(name);
    resource->set_version(version);
    resource->mutable_resource()->set_type_url(type);
  }
  for (const std::string& name : removed) message.add_removed_resources(name);
  const auto given = session.OnMessage(message.SerializeAsString());
  EXPECT_TRUE(given.ok() && given->has_value());
  return **given;
}

TEST(AdsSessionSotw, TheFirstWildcardNamesNothing) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeAll(kCds);
  EXPECT_FALSE(session.HasRequest()) << "there is no stream yet";
  session.OnStreamOpened();
  const auto request = NextSotw(session);
  EXPECT_EQ(request.type_url(), kCds);
  EXPECT_THAT(request.resource_names(), IsEmpty());
  EXPECT_EQ(request.version_info(), "");
  EXPECT_EQ(request.response_nonce(), "");
  EXPECT_EQ(request.node().id(), "n");
  EXPECT_FALSE(session.NextRequest().has_value());
}

TEST(AdsSessionSotw, AnAcceptanceSaysVersionAndNonce) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextSotw(session);
  session.Accept(GiveSotw(session, kCds, "v1", "a"));
  const auto request = NextSotw(session);
  EXPECT_EQ(request.version_info(), "v1");
  EXPECT_EQ(request.response_nonce(), "a");
  EXPECT_FALSE(request.has_error_detail());
  EXPECT_EQ(session.version(kCds), "v1");
  EXPECT_FALSE(session.NextRequest().has_value()) << "answered once";
}

TEST(AdsSessionSotw, ARefusalKeepsTheVersionInForce) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextSotw(session);
  session.Accept(GiveSotw(session, kCds, "v1", "a"));
  NextSotw(session);
  session.Refuse(GiveSotw(session, kCds, "v2", "b"), "bad: no", {"bad"});
  const auto request = NextSotw(session);
  EXPECT_EQ(request.version_info(), "v1");
  EXPECT_EQ(request.response_nonce(), "b");
  EXPECT_EQ(request.error_detail().code(), 3);
  EXPECT_EQ(request.error_detail().message(), "bad: no");
}

TEST(AdsSessionSotw, AChangeOfNamesCarriesTheLastNonceAndEveryName) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeTo(kEds, {"x"});
  session.OnStreamOpened();
  EXPECT_THAT(NextSotw(session).resource_names(), ElementsAre("x"));
  session.Accept(GiveSotw(session, kEds, "1", "n1"));
  NextSotw(session);
  session.SubscribeTo(kEds, {"x", "y"});
  const auto request = NextSotw(session);
  EXPECT_THAT(request.resource_names(), ElementsAre("x", "y"));
  EXPECT_EQ(request.response_nonce(), "n1");
  EXPECT_EQ(request.version_info(), "1");
  EXPECT_FALSE(request.has_error_detail());
}

TEST(AdsSessionSotw, AReconnectSaysTheVersionAndNoNonce) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeAll(kCds);
  session.SubscribeTo(kEds, {"x"});
  session.OnStreamOpened();
  NextSotw(session);
  NextSotw(session);
  session.Accept(GiveSotw(session, kCds, "v1", "a"));
  session.OnStreamClosed();
  EXPECT_FALSE(session.HasRequest()) << "the answer belonged to the stream that is gone";
  session.OnStreamOpened();
  const auto cds = NextSotw(session);
  EXPECT_EQ(cds.type_url(), kCds);
  EXPECT_EQ(cds.version_info(), "v1");
  EXPECT_EQ(cds.response_nonce(), "");
  EXPECT_THAT(NextSotw(session).resource_names(), ElementsAre("x"));
}

TEST(AdsSessionSotw, TheNodeIsSaidOnceWhenSoConfigured) {
  AdsSession session = Make(Spelling::kSotw, /*node_once=*/true);
  session.SubscribeAll(kCds);
  session.SubscribeAll(kLds);
  session.OnStreamOpened();
  EXPECT_TRUE(NextSotw(session).has_node());
  EXPECT_FALSE(NextSotw(session).has_node());
  session.OnStreamClosed();
  session.OnStreamOpened();
  EXPECT_TRUE(NextSotw(session).has_node()) << "once on each stream";
}

TEST(AdsSessionSotw, TheLastNameDroppedIsSaidOnceAndNeverAsAFirstRequest) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeTo(kEds, {"x"});
  session.OnStreamOpened();
  NextSotw(session);
  session.SubscribeTo(kEds, {});
  EXPECT_THAT(NextSotw(session).resource_names(), IsEmpty());
  session.OnStreamClosed();
  session.OnStreamOpened();
  EXPECT_FALSE(session.NextRequest().has_value()) << "an empty first request would be a wildcard";
}

TEST(AdsSession, ANameAskedForAndDroppedAgainIsNotSaid) {
  for (const Spelling spelling : {Spelling::kSotw, Spelling::kDelta}) {
    AdsSession session = Make(spelling);
    session.OnStreamOpened();
    session.SubscribeTo(kEds, {"x"});
    session.SubscribeTo(kEds, {});
    EXPECT_FALSE(session.HasRequest());
    EXPECT_FALSE(session.NextRequest().has_value());
  }
}

TEST(AdsSession, ResponsesOfTypesThatNobodyAskedForAreForgotten) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextSotw(session);
  discovery::DiscoveryResponse message;
  message.set_type_url(kRds);
  message.set_nonce("z");
  const auto given = session.OnMessage(message.SerializeAsString());
  ASSERT_TRUE(given.ok());
  EXPECT_FALSE(given->has_value());
  EXPECT_FALSE(session.NextRequest().has_value());
}

TEST(AdsSession, BytesThatAreNoResponseAreAnError) {
  AdsSession sotw = Make(Spelling::kSotw);
  EXPECT_FALSE(sotw.OnMessage("\xff\xff\xff").ok());
  AdsSession delta = Make(Spelling::kDelta);
  EXPECT_FALSE(delta.OnMessage("\xff\xff\xff").ok());
}

TEST(AdsSession, AnswersGoOutBeforeSubscriptionsOfAnyType) {
  AdsSession session = Make(Spelling::kSotw);
  session.SubscribeTo(kRds, {"a"});
  session.SubscribeAll(kLds);
  session.OnStreamOpened();
  NextSotw(session);
  NextSotw(session);
  const Response response = GiveSotw(session, kLds, "1", "l1");
  session.SubscribeTo(kRds, {"a", "b"});
  session.Accept(response);
  const auto first = NextSotw(session);
  EXPECT_EQ(first.type_url(), kLds);
  EXPECT_EQ(first.response_nonce(), "l1");
  EXPECT_THAT(NextSotw(session).resource_names(), ElementsAre("a", "b"));
}

TEST(AdsSessionDelta, TheFirstWildcardNamesNothing) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  const auto request = NextDelta(session);
  EXPECT_THAT(request.resource_names_subscribe(), IsEmpty())
      << "a literal * gets nothing from Consul";
  EXPECT_THAT(request.initial_resource_versions(), IsEmpty());
  EXPECT_FALSE(session.NextRequest().has_value());
}

TEST(AdsSessionDelta, AnAnswerNeverChangesTheSubscription) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeTo(kEds, {"x"});
  session.OnStreamOpened();
  EXPECT_THAT(NextDelta(session).resource_names_subscribe(), ElementsAre("x"));
  const Response response = GiveDelta(session, kEds, "n1", {{"x", "1"}});
  session.SubscribeTo(kEds, {"y"});
  session.Accept(response);
  const auto answer = NextDelta(session);
  EXPECT_EQ(answer.response_nonce(), "n1");
  EXPECT_THAT(answer.resource_names_subscribe(), IsEmpty());
  EXPECT_THAT(answer.resource_names_unsubscribe(), IsEmpty());
  const auto change = NextDelta(session);
  EXPECT_EQ(change.response_nonce(), "");
  EXPECT_THAT(change.resource_names_subscribe(), ElementsAre("y"));
  EXPECT_THAT(change.resource_names_unsubscribe(), ElementsAre("x"));
  EXPECT_FALSE(session.NextRequest().has_value());
}

TEST(AdsSessionDelta, AReconnectSaysWhatIsHeldAndAsksForAll) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeTo(kEds, {"x", "y", "z"});
  session.OnStreamOpened();
  NextDelta(session);
  session.Accept(GiveDelta(session, kEds, "n1", {{"x", "1"}, {"y", "1"}, {"unasked", "7"}}));
  NextDelta(session);
  session.Accept(GiveDelta(session, kEds, "n2", {{"x", "2"}}, {"y"}));
  session.OnStreamClosed();
  session.OnStreamOpened();
  const auto request = NextDelta(session);
  EXPECT_THAT(request.resource_names_subscribe(), UnorderedElementsAre("x", "y", "z"));
  EXPECT_THAT(request.initial_resource_versions(), UnorderedElementsAre(Pair("x", "2")));
  session.SubscribeTo(kEds, {"x"});
  EXPECT_THAT(NextDelta(session).initial_resource_versions(), IsEmpty())
      << "on the first request alone";
}

TEST(AdsSessionDelta, AWildcardReconnectSaysWhatIsHeld) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextDelta(session);
  session.Accept(GiveDelta(session, kCds, "n1", {{"a", "1"}, {"b", "2"}}));
  session.OnStreamClosed();
  session.OnStreamOpened();
  const auto request = NextDelta(session);
  EXPECT_THAT(request.resource_names_subscribe(), IsEmpty());
  EXPECT_THAT(request.initial_resource_versions(),
              UnorderedElementsAre(Pair("a", "1"), Pair("b", "2")));
}

TEST(AdsSessionDelta, RefusedResourcesKeepTheirHeldVersion) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextDelta(session);
  session.Accept(GiveDelta(session, kCds, "n1", {{"a", "1"}, {"b", "1"}}));
  NextDelta(session);
  session.Refuse(GiveDelta(session, kCds, "n2", {{"a", "2"}, {"b", "2"}, {"c", "2"}}), "no",
                 {"b", "c"});
  const auto answer = NextDelta(session);
  EXPECT_EQ(answer.response_nonce(), "n2");
  EXPECT_EQ(answer.error_detail().message(), "no");
  session.OnStreamClosed();
  session.OnStreamOpened();
  EXPECT_THAT(NextDelta(session).initial_resource_versions(),
              UnorderedElementsAre(Pair("a", "2"), Pair("b", "1")));
}

TEST(AdsSessionDelta, EveryResponseIsAnsweredInTurn) {
  AdsSession session = Make(Spelling::kDelta);
  session.SubscribeAll(kCds);
  session.OnStreamOpened();
  NextDelta(session);
  session.Accept(GiveDelta(session, kCds, "n1", {{"a", "1"}}));
  session.Accept(GiveDelta(session, kCds, "n2", {{"a", "2"}}));
  EXPECT_EQ(NextDelta(session).response_nonce(), "n1");
  EXPECT_EQ(NextDelta(session).response_nonce(), "n2");
}

TEST(AdsEncoding, EnvelopesAreUnwrapped) {
  discovery::Resource envelope;
  envelope.set_name("c");
  envelope.set_version("4");
  envelope.mutable_resource()->set_type_url(kCds);
  envelope.mutable_resource()->set_value("abc");
  discovery::DiscoveryResponse message;
  message.set_type_url(kCds);
  message.add_resources()->PackFrom(envelope);
  message.add_resources()->set_type_url(kCds);
  envelope.clear_resource();
  message.add_resources()->PackFrom(envelope);
  const auto response = Decode(message.SerializeAsString(), Spelling::kSotw);
  ASSERT_TRUE(response.ok());
  ASSERT_EQ(response->resources.size(), 3u);
  EXPECT_EQ(response->resources[0].name, "c");
  EXPECT_EQ(response->resources[0].bytes, "abc");
  EXPECT_EQ(response->resources[0].type_url, kCds);
  EXPECT_FALSE(response->resources[0].heartbeat);
  EXPECT_EQ(response->resources[1].name, "");
  EXPECT_TRUE(response->resources[2].heartbeat);
}

}  // namespace
}  // namespace remora::xds
