// Matching is on the path of every connection and request: it may not touch the
// heap.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "filters/api/headers.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/xds/parsing.h"
#include "xds/listener.h"
#include "xds/route.h"

namespace remora::xds {
namespace {

template <typename Fn>
size_t Allocations(Fn fn) {
  fn();  // warm-up: lazily built state of regexes
  const uint64_t before = AllocationCount();
  fn();
  return AllocationCount() - before;
}

TEST(MatchAllocation, RoutesAreFoundWithoutTheHeap) {
  std::string paths;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&paths, "{match: {path: /p", i, "}, redirect: {}}, ");
  }
  const auto table =
      ParseYaml<RouteTable, envoy::config::route::v3::RouteConfiguration>(absl::StrCat(R"(
name: r
virtual_hosts:
- {name: other, domains: ['*.example.org', 'www.*', exact.com]}
- name: v
  domains: ['*.example.com']
  routes: [)",
                                                                                       paths, R"(
    {match: {safe_regex: {regex: '/re/[0-9]+'}}, redirect: {}},
    {match: {prefix: /q, query_parameters: [{name: a, string_match: {exact: b}}]}, redirect: {}},
    {match: {prefix: /h, headers: [{name: x-b, string_match: {contains: two, ignore_case: true}}]}, redirect: {}},
    {name: last, match: {path_separated_prefix: /last}, route: {cluster: c}}])"));
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  Arena arena;
  Headers headers(&arena);
  headers.set_pseudo(HeaderId::kMethod, "GET");
  headers.set_pseudo(HeaderId::kAuthority, "A.Example.COM:8080");
  headers.set_pseudo(HeaderId::kAuthority, "A.Example.COM");
  headers.set_pseudo(HeaderId::kPath, "/last/one?a=c");
  headers.Add("x-b", "one");
  const Route* found = nullptr;
  EXPECT_EQ(Allocations([&] {
              const RouteQuery query(headers);
              found = table->Match(query).route;
            }),
            0u);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "last");
}

TEST(MatchAllocation, FilterChainsAreFoundWithoutTheHeap) {
  const auto listener = ParseYaml<Listener, envoy::config::listener::v3::Listener>(R"(
name: l
address: {socket_address: {address: 127.0.0.1, port_value: 80}}
filter_chains:
- {name: a, filter_chain_match: {destination_port: 443, server_names: ['*.example.com'], application_protocols: [h2], source_prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}}
- {name: b, filter_chain_match: {prefix_ranges: [{address_prefix: 10.1.0.0, prefix_len: 16}]}}
)");
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  ConnectionFacts facts;
  facts.destination = *remora::Address::FromIp("10.2.0.1", 443);
  facts.source = facts.direct_source = *remora::Address::FromIp("10.3.0.1", 4000);
  facts.server_name = "A.example.com";
  facts.transport_protocol = "tls";
  const absl::string_view protocols[] = {"http/1.1", "h2"};
  facts.application_protocols = protocols;
  const FilterChain* found = nullptr;
  EXPECT_EQ(Allocations([&] { found = listener->Match(facts); }), 0u);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->name, "a");
}

}  // namespace
}  // namespace remora::xds
