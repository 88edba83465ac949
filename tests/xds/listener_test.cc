#include "xds/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "tests/support/xds/parsing.h"
#include "xds/http_connection_manager.h"
#include "xds/tcp_proxy.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::listener::v3::Listener;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

Parsed<Listener> Read(const std::string& yaml) { return ParseYaml<Listener, Proto>(yaml); }

constexpr char kAddress[] = "address: {socket_address: {address: 127.0.0.1, port_value: 80}}";

std::string Tcp(const std::string& fields = "cluster: c") {
  return absl::StrCat(
      "{name: tcp, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network."
      "tcp_proxy.v3.TcpProxy, stat_prefix: s, ",
      fields, "}}");
}

std::string Hcm(const std::string& fields) {
  return absl::StrCat(
      "{name: hcm, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network."
      "http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, ",
      fields, "}}");
}

constexpr char kRouter[] =
    "{name: r, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
constexpr char kRoutes[] =
    "route_config: {virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "
    "{cluster: c}}]}]}";

// A connection manager of these fields, in a listener.
Parsed<Listener> Http(const std::string& fields) {
  return Read(absl::StrCat("{name: l, ", kAddress, ", filter_chains: [{filters: [",
                           Hcm(absl::StrCat(kRoutes, ", http_filters: [", kRouter, "]",
                                            fields.empty() ? "" : ", ", fields)),
                           "]}]}"));
}

TEST(ListenerParsing, DefaultsAreEnvoys) {
  const auto listener =
      Read(absl::StrCat("{name: l, ", kAddress, ", filter_chains: [{filters: [", Tcp(), "]}]}"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  EXPECT_TRUE(listener->bind_to_port);
  EXPECT_TRUE(listener->reuse_port);
  EXPECT_EQ(listener->per_connection_buffer_limit, 1024u * 1024);
  EXPECT_EQ(listener->listener_filters_timeout, absl::Seconds(15));
  ASSERT_EQ(listener->filter_chains.size(), 1u);
  const TcpProxy* tcp = listener->filter_chains[0]->tcp();
  ASSERT_NE(tcp, nullptr);
  EXPECT_EQ(tcp->idle_timeout, absl::Hours(1));
  EXPECT_EQ(tcp->max_connect_attempts, 1u);
  EXPECT_EQ(listener->filter_chains[0]->http(), nullptr);
}

TEST(ListenerParsing, EveryMistakeIsNamed) {
  const auto listener = Read(R"(
name: l
address: {socket_address: {address: not-an-ip, port_value: 80}}
listener_filters: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]
filter_chains:
- filters: [{name: e, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy, stat_prefix: r, settings: {op_timeout: 1s}}}]
- transport_socket: {name: t, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.alts.v3.Alts, handshaker_service: a}}
  filters: [])");
  EXPECT_EQ(listener.value, nullptr);
  EXPECT_THAT(
      listener.errors,
      UnorderedElementsAre(HasSubstr("address: malformed IP address: not-an-ip"),
                           HasSubstr("listener_filters[0].typed_config: Didn't find a registered"),
                           HasSubstr("filter_chains[0].filters[0].typed_config: Didn't find"),
                           HasSubstr("filter_chains[1].transport_socket.typed_config: Didn't find"),
                           HasSubstr("overlapping matching rules")));
}

TEST(ListenerParsing, ChainsAreNeededAndTheTerminalFilterComesLast) {
  EXPECT_THAT(Read(absl::StrCat("{name: l, ", kAddress, "}")).errors,
              ElementsAre(HasSubstr("no filter chains specified")));
  EXPECT_THAT(Read(absl::StrCat("{name: l, ", kAddress, ", filter_chains: [{filters: [", Tcp(),
                                ", ", Tcp(), "]}]}"))
                  .errors,
              ElementsAre(HasSubstr("must be the last filter in a network filter chain")));
}

TEST(ListenerParsing, FiltersThatOtherFieldsImplyAreAdded) {
  const auto listener = Read(
      absl::StrCat("{name: l, ", kAddress,
                   ", use_original_dst: true, filter_chains: [{filter_chain_match: {server_names: "
                   "[a]}, filters: [",
                   Tcp(), "]}]}"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  ASSERT_EQ(listener->listener_filters.size(), 2u);
  EXPECT_EQ(listener->listener_filters[0].kind, ListenerFilter::Kind::kOriginalDst);
  EXPECT_EQ(listener->listener_filters[1].kind, ListenerFilter::Kind::kTlsInspector);
  EXPECT_THAT(listener.warnings, ElementsAre(HasSubstr("require TLS Inspector")));
}

TEST(ListenerParsing, ListenerFiltersMayBeOffByPort) {
  const auto listener = Read(absl::StrCat("{name: l, ", kAddress, R"(, listener_filters: [{name: t,
    typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector, initial_read_buffer_size: 512},
    filter_disabled: {or_match: {rules: [{destination_port_range: {start: 80, end: 82}}, {not_match: {destination_port_range: {start: 0, end: 100}}}]}}}],
    filter_chains: [{filters: [)",
                                          Tcp(), "]}]}"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  const ListenerFilter& filter = listener->listener_filters[0];
  EXPECT_EQ(filter.initial_read_size, 512u);
  EXPECT_TRUE(filter.disabled->Matches(81));
  EXPECT_FALSE(filter.disabled->Matches(82));
  EXPECT_TRUE(filter.disabled->Matches(100));
}

TEST(ListenerParsing, ChainsAreMatchedAndTheDefaultTakesTheRest) {
  const auto listener =
      Read(absl::StrCat("{name: l, ", kAddress,
                        ", filter_chains: [{name: a, filter_chain_match: {destination_port: "
                        "81}, filters: [",
                        Tcp(), "]}], default_filter_chain: {name: d, filters: [", Tcp(), "]}}"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  ConnectionFacts facts;
  facts.destination = *remora::Address::FromIp("127.0.0.1", 81);
  facts.source = facts.direct_source = *remora::Address::FromIp("127.0.0.1", 5);
  EXPECT_EQ(listener->Match(facts)->name, "a");
  facts.destination.set_port(82);
  EXPECT_EQ(listener->Match(facts)->name, "d");
}

TEST(ListenerParsing, AChangeOfChainsAloneKeepsTheSocketKey) {
  const auto with = [](const std::string& more, const std::string& cluster) {
    return Read(absl::StrCat("{name: l, ", kAddress, more, ", filter_chains: [{filters: [",
                             Tcp("cluster: " + cluster), "]}]}"));
  };
  const auto a = with("", "a");
  const auto b = with("", "b");
  EXPECT_EQ(a->socket_key, b->socket_key);
  EXPECT_NE(a->filter_chains[0]->key, b->filter_chains[0]->key);
  EXPECT_NE(a->socket_key, with(", tcp_backlog_size: 5", "a")->socket_key);
}

TEST(TcpProxyParsing, WeightsDecideByARandomNumber) {
  const auto listener = Read(absl::StrCat("{name: l, ", kAddress, ", filter_chains: [{filters: [",
                                          Tcp("idle_timeout: 0s, weighted_clusters: {clusters: "
                                              "[{name: a, weight: 1}, {name: b, weight: "
                                              "3}]}"),
                                          "]}]}"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  const TcpProxy* tcp = listener->filter_chains[0]->tcp();
  EXPECT_EQ(tcp->idle_timeout, absl::ZeroDuration());
  EXPECT_EQ(tcp->ChooseWeighted(4)->name, "a");
  EXPECT_EQ(tcp->ChooseWeighted(5)->name, "b");
  EXPECT_EQ(tcp->ChooseWeighted(7)->name, "b");
}

TEST(HttpConnectionManagerParsing, DefaultsAreEnvoys) {
  const auto listener = Http("");
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  const HttpConnectionManager& http = *listener->filter_chains[0]->http();
  EXPECT_EQ(http.codec, HttpConnectionManager::Codec::kAuto);
  EXPECT_EQ(http.server_name, "envoy");
  EXPECT_EQ(http.max_request_headers_kb, 60u);
  EXPECT_EQ(http.common.max_headers_count, 100u);
  EXPECT_EQ(http.common.IdleTimeout(), absl::Hours(1));
  EXPECT_EQ(http.stream_idle_timeout, absl::Minutes(5));
  EXPECT_EQ(http.delayed_close_timeout, absl::Seconds(1));
  EXPECT_EQ(http.drain_timeout, absl::Seconds(5));
  EXPECT_EQ(http.http2.max_concurrent_streams, 1024u);
  EXPECT_EQ(http.http2.initial_stream_window, 16u * 1024 * 1024);
  EXPECT_TRUE(http.generate_request_id);
  EXPECT_FALSE(http.normalize_path);
  EXPECT_EQ(http.client_cert, HttpConnectionManager::ClientCert::kSanitize);
  ASSERT_EQ(http.filters.size(), 1u);
  EXPECT_TRUE(http.filters[0].is_router);
  EXPECT_NE(http.route_table, nullptr);
}

TEST(HttpConnectionManagerParsing, FieldsThatAct) {
  const auto listener =
      Http(R"(codec_type: HTTP2, use_remote_address: true, xff_num_trusted_hops: 2,
    server_header_transformation: PASS_THROUGH, via: me, stream_idle_timeout: 0s,
    forward_client_cert_details: APPEND_FORWARD, set_current_client_cert_details: {subject: true, uri: true},
    path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT, merge_slashes: true, strip_any_host_port: true,
    common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST, idle_timeout: 0s},
    http_protocol_options: {accept_http_10: true, header_key_format: {proper_case_words: {}}},
    internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]},
    upgrade_configs: [{upgrade_type: WebSocket}],
    local_reply_config: {mappers: [{filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 404, runtime_key: k}}}}, status_code: 410, body: {inline_string: gone}}], body_format: {text_format_source: {inline_string: '%LOCAL_REPLY_BODY% %RESPONSE_CODE%'}}},
    access_log: [{name: f, typed_config: {'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null, log_format: {json_format: {code: '%RESPONSE_CODE%'}}}}])");
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  const HttpConnectionManager& http = *listener->filter_chains[0]->http();
  EXPECT_EQ(http.codec, HttpConnectionManager::Codec::kHttp2);
  EXPECT_TRUE(http.use_remote_address);
  EXPECT_EQ(http.xff_num_trusted_hops, 2u);
  EXPECT_EQ(http.server_header, HttpConnectionManager::ServerHeader::kPassThrough);
  EXPECT_EQ(http.stream_idle_timeout, absl::ZeroDuration());
  EXPECT_EQ(http.client_cert, HttpConnectionManager::ClientCert::kAppendForward);
  EXPECT_TRUE(http.xfcc_subject && http.xfcc_uri && !http.xfcc_dns);
  EXPECT_EQ(http.escaped_slashes, HttpConnectionManager::EscapedSlashes::kUnescapeAndRedirect);
  EXPECT_EQ(http.strip_port, HttpConnectionManager::StripPort::kAny);
  EXPECT_EQ(http.common.underscores, UnderscoresAction::kRejectRequest);
  EXPECT_EQ(http.common.IdleTimeout(), absl::ZeroDuration());
  EXPECT_TRUE(http.http1.accept_http_10);
  EXPECT_EQ(http.http1.header_case, Http1Options::HeaderCase::kProper);
  EXPECT_EQ(http.internal_ranges.size(), 1u);
  EXPECT_EQ(http.upgrades[0].type, "websocket");
  EXPECT_EQ(http.local_reply_mappers[0].status, 410);
  EXPECT_NE(http.local_reply_format->formatter, nullptr);
  EXPECT_EQ(http.access_logs[0].path, "/dev/null");
  EXPECT_EQ(http.access_logs[0].format.kind, Format::Kind::kJson);
}

TEST(HttpConnectionManagerParsing, SettingsThatExcludeEachOtherAreRefused) {
  EXPECT_THAT(Http("strip_any_host_port: true, strip_matching_host_port: true").errors,
              ElementsAre(HasSubstr("Only one of")));
  EXPECT_THAT(
      Http("use_remote_address: true, original_ip_detection_extensions: [{name: x, typed_config: "
           "{'@type': "
           "type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig}}]")
          .errors,
      ElementsAre(HasSubstr("may not be mixed")));
  EXPECT_THAT(Http("upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]").errors,
              ElementsAre(HasSubstr("multiple upgrade configs")));
}

TEST(HttpConnectionManagerParsing, FiltersAreLookedUpByTypeAndRefusedByName) {
  const auto with = [](const std::string& filters) {
    return Read(absl::StrCat("{name: l, ", kAddress, ", filter_chains: [{filters: [",
                             Hcm(absl::StrCat(kRoutes, ", http_filters: [", filters, "]")),
                             "]}]}"));
  };
  const std::string lambda =
      "name: envoy.filters.http.router, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.http.aws_lambda.v3.Config, arn: a}";
  EXPECT_THAT(with(absl::StrCat("{", lambda, "}, ", kRouter)).errors,
              ElementsAre(HasSubstr("http_filters[0].typed_config: Didn't find a registered "
                                    "implementation for 'envoy.filters.http.router'")));
  const auto optional = with(absl::StrCat("{", lambda, ", is_optional: true}, ", kRouter));
  ASSERT_NE(optional.value, nullptr) << optional.AllErrors();
  EXPECT_EQ(optional->filter_chains[0]->http()->filters.size(), 1u);
  EXPECT_THAT(optional.warnings, ElementsAre(HasSubstr("optional filter")));
  EXPECT_THAT(with(absl::StrCat(kRouter, ", ", kRouter)).errors,
              ElementsAre(HasSubstr("must be the last filter in a http filter chain")));
  EXPECT_THAT(with("{name: nothing}").AllErrors(), HasSubstr("Didn't find a registered"));
  EXPECT_NE(with("").value, nullptr);
}

TEST(HttpConnectionManagerParsing, TypedStructsStandForTheirMessage) {
  const auto listener = Read(absl::StrCat(
      "{name: l, ", kAddress,
      R"(, filter_chains: [{filters: [{name: tcp, typed_config: {'@type': type.googleapis.com/udpa.type.v1.TypedStruct,
      type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {stat_prefix: s, cluster: c, idle_timeout: 3s}}}]}]})"));
  ASSERT_NE(listener.value, nullptr) << listener.AllErrors();
  EXPECT_EQ(listener->filter_chains[0]->tcp()->idle_timeout, absl::Seconds(3));
  const auto wrong = Read(absl::StrCat(
      "{name: l, ", kAddress,
      R"(, filter_chains: [{filters: [{name: tcp, typed_config: {'@type': type.googleapis.com/xds.type.v3.TypedStruct,
      type_url: type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: {stat_prefix: s, cluster: c, speed: 3}}}]}]})"));
  EXPECT_THAT(wrong.errors, ElementsAre(HasSubstr("typed_config.value.speed: no such field")));
}

}  // namespace
}  // namespace remora::xds
