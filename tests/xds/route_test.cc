#include "xds/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route.pb.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "tests/support/xds/parsing.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::route::v3::RouteConfiguration;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

Parsed<RouteTable> Table(const std::string& yaml) { return ParseYaml<RouteTable, Proto>(yaml); }

// A table with one virtual host of these routes (a YAML list).
Parsed<RouteTable> Routes(const std::string& routes) {
  return Table(absl::StrCat(
      "name: r\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes: ", routes, "\n"));
}

struct Request {
  std::string path = "/";
  std::string host = "h";
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;
  uint64_t random = 0;
  const TlsFacts* tls = nullptr;
  const Runtime* runtime = nullptr;
};

RouteResult Ask(const Parsed<RouteTable>& table, const Request& request) {
  static Arena* const arena = new Arena;
  auto* headers = arena->New<Headers>(arena);
  headers->set_pseudo(HeaderId::kMethod, request.method);
  headers->set_pseudo(HeaderId::kPath, request.path);
  headers->set_pseudo(HeaderId::kAuthority, request.host);
  for (const auto& [name, value] : request.headers) headers->Add(name, value);
  RouteQuery query(*headers);
  query.random = request.random;
  query.tls = request.tls;
  query.runtime = request.runtime;
  return table->Match(query);
}

// The name of the route that a request gets; "-" for none.
std::string Chosen(const Parsed<RouteTable>& table, const Request& request) {
  EXPECT_NE(table.value, nullptr) << table.AllErrors();
  if (table.value == nullptr) return "";
  const RouteResult result = Ask(table, request);
  return result.route == nullptr ? "-" : result.route->name;
}

std::string Host(const Parsed<RouteTable>& table, const std::string& host) {
  EXPECT_NE(table.value, nullptr) << table.AllErrors();
  const VirtualHost* found = table->FindVirtualHost(host);
  return found == nullptr ? "-" : found->name;
}

TEST(RouteDomains, ExactBeforeLongestSuffixBeforeLongestPrefixBeforeAny) {
  const auto table = Table(R"(
name: r
virtual_hosts:
- {name: any, domains: ['*']}
- {name: prefix, domains: ['www.*']}
- {name: longer prefix, domains: ['www.example.*']}
- {name: suffix, domains: ['*.example.com']}
- {name: longer suffix, domains: ['*.a.example.com']}
- {name: dashed suffix, domains: ['*-x.org']}
- {name: exact, domains: ['WWW.a.example.com', other]}
)");
  EXPECT_EQ(Host(table, "www.A.example.com"), "exact");
  EXPECT_EQ(Host(table, "b.a.example.com"), "longer suffix");
  EXPECT_EQ(Host(table, "www.example.com"), "suffix");
  EXPECT_EQ(Host(table, "www.example.org"), "longer prefix");
  EXPECT_EQ(Host(table, "www.other"), "prefix");
  EXPECT_EQ(Host(table, "b-x.org"), "dashed suffix");
  // The star stands for at least one character.
  EXPECT_EQ(Host(table, ".example.com"), "any");
  EXPECT_EQ(Host(table, "www."), "any");
  EXPECT_EQ(Host(table, ""), "any");
  EXPECT_EQ(Host(table, "other:80"), "any");
}

TEST(RouteDomains, ThePortMayBeIgnored) {
  const auto table = Table(
      "{name: r, ignore_port_in_host_matching: true, virtual_hosts: [{name: a, domains: [x, "
      "'[::1]']}]}");
  EXPECT_EQ(Host(table, "x:8080"), "a");
  EXPECT_EQ(Host(table, "[::1]:8080"), "a");
  EXPECT_EQ(Host(table, "[::1]"), "a");
  EXPECT_EQ(Host(table, "y:80"), "-");
}

TEST(RouteDomains, DuplicatesAreRefused) {
  const auto table = Table(R"(
name: r
virtual_hosts:
- {name: a, domains: [x.com, '*']}
- {name: b, domains: [X.com, '*', '*.y', '*.Y']}
)");
  EXPECT_THAT(table.errors, ElementsAre(HasSubstr("virtual_hosts[1].domains[0]: Only unique values "
                                                  "for domains are permitted"),
                                        HasSubstr("Only a single wildcard domain"),
                                        HasSubstr("Duplicate entry of domain *.y")));
}

TEST(RouteDomains, TheSameNameOfTwoHostsIsNone) {
  EXPECT_TRUE(
      Table("{name: r, virtual_hosts: [{name: a, domains: [one]}, {name: a, domains: [two]}]}")
          .value);
}

TEST(RouteMatching, TheFirstThatMatchesWins) {
  const auto table = Routes(R"([
    {name: a, match: {prefix: /a}, redirect: {}},
    {name: ab, match: {path: /ab}, redirect: {}},
    {name: all, match: {prefix: /}, redirect: {}}])");
  EXPECT_EQ(Chosen(table, {"/ab"}), "a");
  EXPECT_EQ(Chosen(table, {"/b"}), "all");
}

TEST(RouteMatching, PathsWithoutQueryAndFragment) {
  const auto table = Routes(R"([
    {name: exact, match: {path: /exact}, redirect: {}},
    {name: separated, match: {path_separated_prefix: /sep}, redirect: {}},
    {name: regex, match: {safe_regex: {regex: '/re/[0-9]+'}}, redirect: {}},
    {name: insensitive, match: {prefix: /CaSe, case_sensitive: false}, redirect: {}},
    {name: template, match: {path_match_policy: {name: t, typed_config: {'@type': type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, path_template: '/t/{id}/{rest=**}'}}}, redirect: {}}])");
  EXPECT_EQ(Chosen(table, {"/exact?x=1"}), "exact");
  EXPECT_EQ(Chosen(table, {"/exact#x"}), "exact");
  EXPECT_EQ(Chosen(table, {"/exact/"}), "-");
  EXPECT_EQ(Chosen(table, {"/sep"}), "separated");
  EXPECT_EQ(Chosen(table, {"/sep/x"}), "separated");
  EXPECT_EQ(Chosen(table, {"/separate"}), "-");
  EXPECT_EQ(Chosen(table, {"/re/12?a"}), "regex");
  EXPECT_EQ(Chosen(table, {"/re/12/"}), "-");
  EXPECT_EQ(Chosen(table, {"/cAsE/x"}), "insensitive");
  EXPECT_EQ(Chosen(table, {"/t/1/a/b"}), "template");
  EXPECT_EQ(Chosen(table, {"/t/1"}), "-");
}

TEST(RouteMatching, ManyExactPathsKeepTheirOrder) {
  std::string routes = "[";
  for (int i = 0; i < 50; ++i) {
    absl::StrAppend(&routes, "{name: h", i, ", match: {path: /p", i,
                    ", headers: [{name: x, string_match: {exact: why}}]}, redirect: {}}, {name: p",
                    i, ", match: {path: /p", i, "}, redirect: {}}, ");
  }
  const auto table = Routes(routes + "{name: rest, match: {prefix: /}, redirect: {}}]");
  EXPECT_EQ(Chosen(table, {"/p17?q"}), "p17");
  Request with_header{"/p17"};
  with_header.headers = {{"x", "why"}};
  EXPECT_EQ(Chosen(table, with_header), "h17");
  EXPECT_EQ(Chosen(table, {"/p50"}), "rest");
}

TEST(RouteMatching, ConnectOnlyByItsOwnMatcher) {
  const auto table = Routes(R"([
    {name: any, match: {prefix: ''}, redirect: {}},
    {name: connect, match: {connect_matcher: {}}, redirect: {}}])");
  EXPECT_EQ(Chosen(table, {"", "h", "CONNECT"}), "connect");
  EXPECT_EQ(Chosen(table, {"/", "h", "GET"}), "any");
}

TEST(RouteMatching, HeadersQueryAndCookies) {
  const auto table = Routes(R"([
    {name: method, match: {prefix: /, headers: [{name: ':method', string_match: {exact: POST}}]}, redirect: {}},
    {name: one of many, match: {prefix: /, headers: [{name: X-Many, string_match: {exact: b}}]}, redirect: {}},
    {name: range, match: {prefix: /, headers: [{name: num, range_match: {start: -5, end: 5}}]}, redirect: {}},
    {name: query, match: {prefix: /, query_parameters: [{name: q, string_match: {prefix: ab}}]}, redirect: {}},
    {name: present, match: {prefix: /, query_parameters: [{name: p, present_match: true}]}, redirect: {}},
    {name: cookie, match: {prefix: /, cookies: [{name: c, string_match: {exact: one}}]}, redirect: {}},
    {name: no cookie, match: {prefix: /nc, cookies: [{name: d, string_match: {exact: x}, invert_match: true}]}, redirect: {}},
    {name: not x, match: {prefix: /n, headers: [{name: x, string_match: {exact: bad}, invert_match: true}]}, redirect: {}}])");
  EXPECT_EQ(Chosen(table, {"/", "h", "POST"}), "method");
  const auto with = [&](std::vector<std::pair<std::string, std::string>> headers,
                        std::string path = "/") {
    Request request{path};
    request.headers = std::move(headers);
    return Chosen(table, request);
  };
  EXPECT_EQ(with({{"x-many", "a"}, {"x-many", "b"}}), "one of many");
  EXPECT_EQ(with({{"num", "-5"}}), "range");
  EXPECT_EQ(with({{"num", "5"}}), "-");
  EXPECT_EQ(with({{"num", "x"}}), "-");
  EXPECT_EQ(Chosen(table, {"/?z=1&q=abc"}), "query");
  EXPECT_EQ(Chosen(table, {"/?q=x&q=abc"}), "-");  // the first of that name counts
  EXPECT_EQ(Chosen(table, {"/?p"}), "present");
  EXPECT_EQ(with({{"cookie", "a=b; c=one"}}), "cookie");
  EXPECT_EQ(with({{"cookie", "a=b"}, {"cookie", "c=\"one\""}}), "cookie");
  EXPECT_EQ(with({}, "/nc"), "no cookie");
  EXPECT_EQ(with({{"x", "good"}}, "/n"), "not x");
  // An inverted matcher does not match what is not there.
  EXPECT_EQ(with({}, "/n"), "-");
}

TEST(RouteMatching, GrpcTlsAndRuntime) {
  const auto table = Routes(R"([
    {name: grpc, match: {prefix: /, grpc: {}}, redirect: {}},
    {name: cert, match: {prefix: /, tls_context: {presented: true, validated: true}}, redirect: {}},
    {name: half, match: {prefix: /half, runtime_fraction: {default_value: {numerator: 50}, runtime_key: k}}, redirect: {}}])");
  Request grpc;
  grpc.headers = {{"content-type", "application/grpc+proto"}};
  EXPECT_EQ(Chosen(table, grpc), "grpc");
  grpc.headers = {{"content-type", "application/grpc-web"}};
  EXPECT_EQ(Chosen(table, grpc), "-");
  TlsFacts facts;
  facts.peer_certificate_presented = true;
  Request tls;
  tls.tls = &facts;
  EXPECT_EQ(Chosen(table, tls), "-");
  facts.peer_certificate_validated = true;
  EXPECT_EQ(Chosen(table, tls), "cert");
  Request half{"/half"};
  half.random = 149;
  EXPECT_EQ(Chosen(table, half), "half");
  half.random = 150;
  EXPECT_EQ(Chosen(table, half), "-");
  Runtime::Layer layer;
  layer.values["k"].integer = 100;
  const Runtime runtime({layer});
  half.runtime = &runtime;
  EXPECT_EQ(Chosen(table, half), "half");
}

TEST(RouteParsing, ForwardTakesEveryFieldThatActs) {
  const auto table = Routes(R"([{match: {prefix: /}, stat_prefix: s, route: {
    cluster: c, prefix_rewrite: /new, host_rewrite_literal: other, timeout: 0s, idle_timeout: 7s,
    priority: HIGH, cluster_not_found_response_code: NOT_FOUND,
    max_stream_duration: {grpc_timeout_header_max: 0s},
    retry_policy: {retry_on: '5xx,reset, unavailable', num_retries: 3, per_try_timeout: 2s,
      retry_back_off: {base_interval: 0.01s}, retriable_status_codes: [503],
      retry_host_predicate: [{name: p, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}],
      host_selection_retry_max_attempts: 5},
    hash_policy: [{header: {header_name: X-Key}, terminal: true}, {cookie: {name: k, ttl: 5s, path: /p}}],
    request_mirror_policies: [{cluster: m, runtime_fraction: {default_value: {numerator: 10}}}],
    upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: CONNECT, connect_config: {}}]}}])");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  const Route& route = table->virtual_hosts()[0].routes[0];
  const ForwardAction* forward = route.forward();
  ASSERT_NE(forward, nullptr);
  EXPECT_EQ(route.stat_prefix, "s");
  EXPECT_EQ(forward->cluster, "c");
  EXPECT_EQ(forward->prefix_rewrite, "/new");
  EXPECT_EQ(forward->timeout, absl::ZeroDuration());
  EXPECT_EQ(forward->idle_timeout, absl::Seconds(7));
  EXPECT_TRUE(forward->high_priority);
  EXPECT_EQ(forward->cluster_not_found_status, 404);
  ASSERT_TRUE(forward->stream_duration.has_value());
  EXPECT_EQ(forward->stream_duration->grpc.header_max, absl::ZeroDuration());
  EXPECT_FALSE(forward->stream_duration->most.has_value());
  EXPECT_FALSE(forward->grpc_timeout.header_max.has_value());
  ASSERT_TRUE(forward->retry.has_value());
  EXPECT_EQ(forward->retry->retry_on, kRetry5xx | kRetryReset | kRetryGrpcUnavailable);
  EXPECT_EQ(forward->retry->num_retries, 3u);
  EXPECT_TRUE(forward->retry->avoid_previous_hosts);
  EXPECT_EQ(forward->retry->host_selection_attempts, 5u);
  EXPECT_EQ(forward->retry->backoff_base, absl::Milliseconds(10));
  ASSERT_EQ(forward->hash_policies.size(), 2u);
  EXPECT_EQ(forward->hash_policies[0].name, "x-key");
  EXPECT_TRUE(forward->hash_policies[0].terminal);
  EXPECT_EQ(forward->hash_policies[1].ttl, absl::Seconds(5));
  ASSERT_EQ(forward->mirrors.size(), 1u);
  EXPECT_EQ(forward->mirrors[0].fraction->otherwise.numerator, 10u);
  ASSERT_EQ(forward->upgrades.size(), 2u);
  EXPECT_EQ(forward->upgrades[0].type, "websocket");
  EXPECT_TRUE(forward->upgrades[1].terminate_connect);
  EXPECT_THAT(table->clusters(), ElementsAre("c", "m"));
}

TEST(RouteParsing, DefaultsAreEnvoys) {
  const auto table = Routes("[{match: {prefix: /}, route: {cluster: c}}]");
  const ForwardAction* forward = table->virtual_hosts()[0].routes[0].forward();
  EXPECT_EQ(forward->timeout, absl::Seconds(15));
  EXPECT_FALSE(forward->retry.has_value());
  EXPECT_EQ(forward->cluster_not_found_status, 503);
}

TEST(RouteParsing, RoutesTakeRetriesAndMirrorsFromAboveWhenTheyHaveNone) {
  const auto table = Table(R"(
name: r
request_mirror_policies: [{cluster: t}]
virtual_hosts:
- {name: a, domains: [a], retry_policy: {retry_on: 5xx}, routes: [
    {match: {path: /own}, route: {cluster: c, retry_policy: {retry_on: reset}}},
    {match: {prefix: /}, route: {cluster: c}}]}
- {name: b, domains: [b], request_mirror_policies: [{cluster: v}], routes: [{match: {prefix: /}, route: {cluster: c}}]}
)");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  const auto& a = table->virtual_hosts()[0].routes;
  EXPECT_EQ(a[0].forward()->retry->retry_on, uint32_t{kRetryReset});
  EXPECT_EQ(a[1].forward()->retry->retry_on, uint32_t{kRetry5xx});
  EXPECT_EQ(a[1].forward()->mirrors[0].cluster, "t");
  EXPECT_EQ(table->virtual_hosts()[1].routes[0].forward()->mirrors[0].cluster, "v");
}

TEST(RouteParsing, RedirectsAndDirectResponses) {
  const auto table = Routes(R"([
    {match: {path: /a}, redirect: {https_redirect: true, port_redirect: 443, path_redirect: /b, response_code: PERMANENT_REDIRECT, strip_query: true}},
    {match: {path: /b}, direct_response: {status: 418, body: {inline_string: tea}}}])");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  const auto& routes = table->virtual_hosts()[0].routes;
  EXPECT_TRUE(routes[0].redirect()->https);
  EXPECT_EQ(routes[0].redirect()->status, 308);
  EXPECT_EQ(routes[0].redirect()->path, "/b");
  EXPECT_EQ(routes[1].direct_response()->status, 418);
  EXPECT_EQ(routes[1].direct_response()->body, "tea");
}

TEST(RouteParsing, EveryMistakeIsNamedWithItsPath) {
  const auto table = Routes(absl::StrCat(R"([
    {match: {safe_regex: {regex: '('}}, redirect: {}},
    {match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}},
    {match: {prefix: /}, route: {cluster: c, prefix_rewrite: /x, regex_rewrite: {pattern: {regex: a}, substitution: b}}},
    {match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: ':path', value: x}}], request_headers_to_remove: [host]},
    {match: {prefix: /}, direct_response: {status: 200, body: {inline_string: ')",
                                         std::string(5000, 'x'), R"('}}},
    {match: {safe_regex: {regex: ')",
                                         std::string(200, 'a'), R"('}}, redirect: {}}])"));
  EXPECT_EQ(table.value, nullptr);
  EXPECT_THAT(
      table.errors,
      UnorderedElementsAre(
          HasSubstr("virtual_hosts[0].routes[0].match.safe_regex: bad regex"),
          HasSubstr(
              "routes[1].route.weighted_clusters: Sum of weights in the weighted_cluster must be "
              "greater than 0."),
          HasSubstr("routes[2].route: Specify only one of"),
          HasSubstr("routes[3].request_headers_to_add[0]: :-prefixed or host headers may not be "
                    "modified"),
          HasSubstr("routes[3].request_headers_to_remove[0]: :-prefixed or host headers may not be "
                    "removed"),
          HasSubstr("routes[4].direct_response.body: response body size is 5000 bytes; maximum is "
                    "4096"),
          HasSubstr("max program size")));
}

TEST(RouteParsing, FieldsThatDoNothingAreWarnedAboutByName) {
  const auto table = Routes(
      "[{match: {prefix: /}, route: {cluster: c, cors: {allow_origin_string_match: [{exact: "
      "a}]}}}]");
  EXPECT_THAT(table.warnings, Contains("virtual_hosts[0].routes[0].route.cors: is known but not "
                                       "honoured yet"));
}

TEST(RouteParsing, HeaderValuesAreCompiled) {
  const auto table = Routes(R"([{match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [
    {header: {key: X-A, value: 100%%}, append_action: ADD_IF_ABSENT},
    {header: {key: x-b, value: '%RESPONSE_CODE%'}, append: false}]}])");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  const auto& add = table->virtual_hosts()[0].routes[0].response_headers.add;
  EXPECT_EQ(add[0].name, "x-a");
  EXPECT_EQ(add[0].text, "100%");
  EXPECT_EQ(add[0].formatter, nullptr);
  EXPECT_EQ(add[0].action, AppendAction::kAddIfAbsent);
  EXPECT_NE(add[1].formatter, nullptr);
  EXPECT_EQ(add[1].action, AppendAction::kOverwriteOrAdd);
  const auto bad = Routes(
      "[{match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [{header: {key: a, "
      "value: '%NO_SUCH_THING%'}}]}]");
  EXPECT_THAT(bad.errors, ElementsAre(HasSubstr("response_headers_to_add[0].header")));
}

TEST(RouteParsing, UnknownFiltersOfARouteAreRefusedUnlessOptional) {
  const std::string unknown =
      "{'@type': type.googleapis.com/envoy.extensions.filters.http.aws_lambda.v3.PerRouteConfig}";
  const auto refused = Routes(absl::StrCat(
      "[{match: {prefix: /}, redirect: {}, typed_per_filter_config: {lambda: ", unknown, "}}]"));
  EXPECT_THAT(refused.AllErrors(), HasSubstr("typed_per_filter_config[\"lambda\"]"));
  const auto optional = Routes(absl::StrCat(
      "[{match: {prefix: /}, redirect: {}, typed_per_filter_config: {lambda: {'@type': "
      "type.googleapis.com/envoy.config.route.v3.FilterConfig, is_optional: true, config: ",
      unknown,
      "}, off: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: "
      "true}}}]"));
  ASSERT_NE(optional.value, nullptr) << optional.AllErrors();
  EXPECT_TRUE(optional->virtual_hosts()[0].routes[0].per_filter.at("off").disabled);
}

TEST(UriTemplateTest, RewritesByVariable) {
  auto pattern = UriTemplate::Compile("/a/{x}/{y=**}");
  ASSERT_TRUE(pattern.ok());
  EXPECT_EQ(pattern->Rewrite("/a/1/2/3", "/n/{y}/{x}"), "/n/2/3/1");
  EXPECT_FALSE(pattern->CheckRewrite("/{z}").ok());
  EXPECT_FALSE(UriTemplate::Compile("a").ok());
  EXPECT_FALSE(UriTemplate::Compile("/{a}/{a}").ok());
  EXPECT_FALSE(UriTemplate::Compile("/**/x*").ok());
  EXPECT_FALSE(UriTemplate::Compile("/{1}").ok());
}

TEST(RouteTreeTest, TheMatchingApiChoosesRoutes) {
  const auto table = Table(R"(
name: r
virtual_hosts:
- name: v
  domains: ['*']
  matcher:
    matcher_list:
      matchers:
      - predicate: {single_predicate: {input: {name: h, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-a}}, value_match: {exact: one}}}
        on_match: {action: {name: route, typed_config: {"@type": type.googleapis.com/envoy.config.route.v3.Route, name: one, match: {prefix: /p}, direct_response: {status: 200}}}}
    on_no_match:
      action: {name: list, typed_config: {"@type": type.googleapis.com/envoy.config.route.v3.RouteList, routes: [{name: x, match: {prefix: /x}, direct_response: {status: 200}}, {name: rest, match: {prefix: /}, direct_response: {status: 200}}]}}
)");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  const StreamInfo info;
  const auto chosen = [&](const std::string& path, const std::string& value) -> std::string {
    Arena arena;
    Headers headers(&arena);
    headers.set_pseudo(HeaderId::kPath, path);
    headers.set_pseudo(HeaderId::kAuthority, "h");
    headers.Add("x-a", value);
    RouteQuery query(headers);
    query.info = &info;
    const Route* route = table->Match(query).route;
    return route == nullptr ? "-" : route->name;
  };
  EXPECT_EQ(chosen("/p/1", "one"), "one");
  // The action was found, and its own match does not agree.
  EXPECT_EQ(chosen("/x", "one"), "-");
  EXPECT_EQ(chosen("/x/1", "two"), "x");
  EXPECT_EQ(chosen("/y", "two"), "rest");
}

TEST(RouteMatchTest, FilterStateIsCompared) {
  const auto table = Routes(
      "[{name: a, match: {prefix: /, filter_state: [{key: k, string_match: {prefix: v}}]}, "
      "direct_response: {status: 200}}]");
  ASSERT_NE(table.value, nullptr) << table.AllErrors();
  Arena arena;
  Headers headers(&arena);
  headers.set_pseudo(HeaderId::kPath, "/");
  headers.set_pseudo(HeaderId::kAuthority, "h");
  RouteQuery query(headers);
  EXPECT_EQ(table->Match(query).route, nullptr);
  FilterState state;
  state.texts["k"] = "value";
  query.filter_state = &state;
  EXPECT_NE(table->Match(query).route, nullptr);
}

}  // namespace
}  // namespace remora::xds
