#include "xds/filter_chain_match.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "envoy/config/listener/v3/listener_components.pb.h"
#include "tests/support/xds/parsing.h"
#include "xds/listener.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::listener::v3::FilterChainMatch;

// Chains by name, added in the order of Add().
class Chains {
 public:
  absl::Status Add(const std::string& name, const std::string& yaml) {
    ParseContext context;
    const auto rule = FilterChainMatchRule::Parse(FromYaml<Proto>(yaml), context);
    EXPECT_TRUE(context.ok()) << context.status();
    auto chain = std::make_unique<FilterChain>();
    chain->name = name;
    const absl::Status status = matcher_.Add(rule, chain.get());
    chains_.push_back(std::move(chain));
    return status;
  }

  std::string Match(const ConnectionFacts& facts) const {
    const FilterChain* chain = matcher_.Match(facts);
    return chain == nullptr ? "-" : chain->name;
  }

 private:
  FilterChainMatcher matcher_;
  std::vector<std::unique_ptr<FilterChain>> chains_;
};

ConnectionFacts To(const std::string& ip, uint16_t port, const std::string& from = "10.9.9.9",
                   uint16_t from_port = 4000) {
  ConnectionFacts facts;
  facts.destination = *remora::Address::FromIp(ip, port);
  facts.source = *remora::Address::FromIp(from, from_port);
  facts.direct_source = facts.source;
  return facts;
}

ConnectionFacts Tls(absl::string_view server_name) {
  ConnectionFacts facts = To("10.0.0.1", 443);
  facts.server_name = server_name;
  facts.transport_protocol = "tls";
  return facts;
}

TEST(FilterChainMatch, DestinationPortComesFirstAndThereIsNoWayBack) {
  Chains chains;
  ASSERT_TRUE(chains.Add("ip", "prefix_ranges: [{address_prefix: 10.0.0.1, prefix_len: 32}]").ok());
  ASSERT_TRUE(chains
                  .Add("port",
                       "{destination_port: 80, prefix_ranges: [{address_prefix: "
                       "192.168.0.0, prefix_len: 16}]}")
                  .ok());
  EXPECT_EQ(chains.Match(To("192.168.1.1", 80)), "port");
  EXPECT_EQ(chains.Match(To("10.0.0.1", 81)), "ip");
  // The port decides; that its IP does not fit does not bring the others back.
  EXPECT_EQ(chains.Match(To("10.0.0.1", 80)), "-");
}

TEST(FilterChainMatch, TheLongestPrefixWins) {
  Chains chains;
  ASSERT_TRUE(chains.Add("8", "prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]").ok());
  ASSERT_TRUE(chains.Add("32", "prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 32}]").ok());
  ASSERT_TRUE(chains.Add("v6", "prefix_ranges: [{address_prefix: 'fd00::', prefix_len: 8}]").ok());
  ASSERT_TRUE(chains.Add("any", "{}").ok());
  EXPECT_EQ(chains.Match(To("10.1.2.3", 1)), "32");
  EXPECT_EQ(chains.Match(To("10.1.2.4", 1)), "8");
  EXPECT_EQ(chains.Match(To("fd00::1", 1, "fd00::2")), "v6");
  EXPECT_EQ(chains.Match(To("11.0.0.1", 1)), "any");
  ConnectionFacts pipe;
  pipe.destination = *remora::Address::FromPipe("/x");
  pipe.source = pipe.direct_source = *remora::Address::FromPipe("/y");
  EXPECT_EQ(chains.Match(pipe), "any");
}

TEST(FilterChainMatch, ServerNamesExactThenSuffixesLongestFirst) {
  Chains chains;
  ASSERT_TRUE(chains.Add("exact", "server_names: [A.example.com]").ok());
  ASSERT_TRUE(chains.Add("long", "server_names: ['*.a.example.com']").ok());
  ASSERT_TRUE(chains.Add("short", "server_names: ['*.example.com']").ok());
  ASSERT_TRUE(chains.Add("com", "server_names: ['*.com']").ok());
  ASSERT_TRUE(chains.Add("none", "{}").ok());
  EXPECT_EQ(chains.Match(Tls("a.EXAMPLE.com")), "exact");
  EXPECT_EQ(chains.Match(Tls("x.a.example.com")), "long");
  EXPECT_EQ(chains.Match(Tls("b.example.com")), "short");
  EXPECT_EQ(chains.Match(Tls("example.com")), "com");
  EXPECT_EQ(chains.Match(Tls("example.org")), "none");
  EXPECT_EQ(chains.Match(Tls("")), "none");
}

TEST(FilterChainMatch, TransportThenApplicationProtocols) {
  Chains chains;
  ASSERT_TRUE(chains.Add("h2", "{transport_protocol: tls, application_protocols: [h2]}").ok());
  ASSERT_TRUE(
      chains.Add("http", "{transport_protocol: tls, application_protocols: [http/1.1]}").ok());
  ASSERT_TRUE(chains.Add("tls", "{transport_protocol: tls}").ok());
  ASSERT_TRUE(chains.Add("raw", "{transport_protocol: raw_buffer}").ok());
  ASSERT_TRUE(chains.Add("h2c", "{application_protocols: [h2c]}").ok());
  ConnectionFacts facts = Tls("x");
  const absl::string_view both[] = {"http/1.1", "h2"};
  facts.application_protocols = both;
  EXPECT_EQ(chains.Match(facts), "http");  // the client's order decides
  const absl::string_view other[] = {"spdy"};
  facts.application_protocols = other;
  EXPECT_EQ(chains.Match(facts), "tls");
  EXPECT_EQ(chains.Match(To("1.1.1.1", 1)), "raw");
  // raw_buffer was the more specific step, so the chain for any transport is out.
  ConnectionFacts clear = To("1.1.1.1", 1);
  const absl::string_view h2c[] = {"h2c"};
  clear.application_protocols = h2c;
  EXPECT_EQ(chains.Match(clear), "raw");
}

TEST(FilterChainMatch, SourceTypeIpAndPort) {
  Chains chains;
  ASSERT_TRUE(chains.Add("local", "source_type: SAME_IP_OR_LOOPBACK").ok());
  ASSERT_TRUE(chains.Add("external", "source_type: EXTERNAL").ok());
  EXPECT_EQ(chains.Match(To("10.0.0.1", 1, "127.0.0.1")), "local");
  EXPECT_EQ(chains.Match(To("10.0.0.1", 1, "10.0.0.1")), "local");
  EXPECT_EQ(chains.Match(To("10.0.0.1", 1, "127.0.0.2")),
            "external");  // as Envoy: not all of 127/8
  Chains sources;
  ASSERT_TRUE(
      sources.Add("net", "source_prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]").ok());
  ASSERT_TRUE(sources
                  .Add("port",
                       "{source_prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: "
                       "8}], source_ports: [4001]}")
                  .ok());
  ASSERT_TRUE(sources
                  .Add("direct",
                       "direct_source_prefix_ranges: [{address_prefix: 9.0.0.0, "
                       "prefix_len: 8}]")
                  .ok());
  EXPECT_EQ(sources.Match(To("1.1.1.1", 1, "10.1.1.1", 4000)), "net");
  EXPECT_EQ(sources.Match(To("1.1.1.1", 1, "10.1.1.1", 4001)), "port");
  EXPECT_EQ(sources.Match(To("1.1.1.1", 1, "11.1.1.1", 4001)), "-");
  ConnectionFacts proxied = To("1.1.1.1", 1, "10.1.1.1");
  proxied.direct_source = *remora::Address::FromIp("9.1.1.1", 5);
  EXPECT_EQ(sources.Match(proxied), "direct");
}

TEST(FilterChainMatch, EqualMatchesAreRefused) {
  Chains chains;
  ASSERT_TRUE(chains.Add("a", "server_names: [a, b]").ok());
  EXPECT_TRUE(chains.Add("c", "{server_names: [b], destination_port: 1}").ok());
  EXPECT_FALSE(chains.Add("b", "server_names: [B]").ok());
}

TEST(FilterChainMatch, FieldsThatNobodyImplementsAreRefused) {
  ParseContext context;
  FilterChainMatchRule::Parse(FromYaml<Proto>("{address_suffix: a, server_names: ['w*.a']}"),
                              context);
  EXPECT_EQ(context.error_count(), 2u);
}

}  // namespace
}  // namespace remora::xds
