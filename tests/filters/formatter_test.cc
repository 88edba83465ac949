#include "filters/formatter.h"

#include <string>

#include "filters/api/headers.h"
#include "filters/metadata.h"
#include "gtest/gtest.h"

namespace remora {
namespace {

class FormatterTest : public testing::Test {
 protected:
  FormatterTest() {
    request_.set_pseudo(HeaderId::kMethod, "GET");
    request_.set_pseudo(HeaderId::kPath, "/a/b?x=1&y=2");
    request_.Add("x-a", "abcdefgh");
    request_.Add("x-raw", "\xe9\"q");
    request_.Add("x-quoted", "say \"hi\" \\ there");
    info_.request_headers = &request_;
    info_.response_code = 503;
    info_.protocol = Protocol::kHttp11;
    info_.timing.start_ns = 1000000000;
    info_.timing.end_ns = 1250000000;
    info_.timing.start_system_ns = 1795520595607493000;
    info_.downstream = &connection_;
    connection_.remote = *Address::FromIpPort("10.1.2.3:77");
    info_.remote = connection_.remote;
    info_.route_metadata = &metadata_;
    metadata_.namespaces["ns"] = MetadataValue::Fields{
        {"k", MetadataValue("v")}, {"n", MetadataValue(5.0)}, {"l", MetadataValue::List{true}}};
  }

  std::string Text(absl::string_view format,
                   Formatter::Missing missing = Formatter::Missing::kDash) {
    auto formatter = Formatter::Parse(format, missing);
    if (!formatter.ok()) return std::string(formatter.status().message());
    std::string out;
    (*formatter)->Format(info_, &out);
    return out;
  }

  std::string Json(MetadataValue::Fields fields,
                   Formatter::Missing missing = Formatter::Missing::kDash) {
    auto formatter = Formatter::ParseJson(MetadataValue(std::move(fields)), missing);
    if (!formatter.ok()) return std::string(formatter.status().message());
    std::string out;
    (*formatter)->Format(info_, &out);
    return out;
  }

  Arena arena_;
  Headers request_{&arena_};
  ConnectionInfo connection_;
  Metadata metadata_;
  StreamInfo info_;
};

TEST_F(FormatterTest, HeadersFallBackAndAreCut) {
  EXPECT_EQ(Text("[%REQ(X-A):3%] [%REQ(NONE?X-A)%] [%REQ(NONE)%]"), "[abc] [abcdefgh] [-]");
  EXPECT_EQ(Text("[%REQ(NONE)%]", Formatter::Missing::kEmpty), "[]");
  EXPECT_EQ(Text("%REQ(:METHOD)% 100%%"), "GET 100%");
}

TEST_F(FormatterTest, TimeFormatsCarryFractions) {
  EXPECT_EQ(Text("%START_TIME(%Y %f %3f %s %1f %6f %%)%"),
            "2026 607493000 607 1795520595 6 607493 %");
  EXPECT_EQ(Text("%START_TIME%"), "2026-11-24T11:43:15.607Z");
  EXPECT_EQ(Text("%START_TIME(%s%3f)%"), "1795520595607");
}

TEST_F(FormatterTest, DurationsAreMillisecondsOrMissing) {
  EXPECT_EQ(Text("%DURATION% %RESPONSE_DURATION%"), "250 -");
  info_.timing.downstream_last_tx_ns = 1000700000;
  EXPECT_EQ(Text("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"), "700");
}

TEST_F(FormatterTest, PathsAndQueries) {
  EXPECT_EQ(Text("%PATH% %PATH(NQ)% %QUERY_PARAM(y)% %QUERY_PARAMS%"),
            "/a/b?x=1&y=2 /a/b 2 x=1&y=2");
  request_.Add("x-envoy-original-path", "/old");
  EXPECT_EQ(Text("%PATH% %PATH(NQ:PATH)% %PATH(WQ:ORIG)%"), "/old /a/b /old");
}

TEST_F(FormatterTest, AddressesCanBeMasked) {
  EXPECT_EQ(Text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT%"), "10.1.2.3:77 77");
  EXPECT_EQ(Text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%"), "10.1.2.0/24");
  EXPECT_EQ(Text("%UPSTREAM_REMOTE_ADDRESS%"), "-");
}

TEST_F(FormatterTest, FlagsAreJoinedInTheOrderTheyCame) {
  EXPECT_EQ(Text("%RESPONSE_FLAGS%"), "-");
  info_.flags.Add(ResponseFlag::kUpstreamRetryLimitExceeded);
  info_.flags.Add(ResponseFlag::kUpstreamConnectionFailure);
  EXPECT_EQ(Text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"),
            "URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure");
}

TEST_F(FormatterTest, GrpcStatusOnlyForGrpcRequests) {
  EXPECT_EQ(Text("%GRPC_STATUS%"), "-");
  request_.Add("content-type", "application/grpc");
  EXPECT_EQ(Text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%"),
            "Unavailable UNAVAILABLE 14");
}

TEST_F(FormatterTest, MetadataOfTheRoute) {
  EXPECT_EQ(Text("%METADATA(ROUTE:ns:k)% %METADATA(ROUTE:ns:n)% %METADATA(ROUTE:ns:l)%"),
            "v 5 [true]");
  EXPECT_EQ(Text("%METADATA(ROUTE:no:k)% %DYNAMIC_METADATA(ns)%"), "- -");
}

TEST_F(FormatterTest, ErrorsAreEnvoys) {
  EXPECT_EQ(Text("%FOO%"), "Not supported field in StreamInfo: FOO");
  EXPECT_EQ(Text("a % b"),
            "Incorrect configuration: a % b. Couldn't find valid command at position 2");
  EXPECT_EQ(Text("%REQ%"), "REQ requires parameters");
  EXPECT_EQ(Text("%REQ()%"), "REQ requires parameters");
  EXPECT_EQ(Text("%PROTOCOL:3%"), "PROTOCOL does not take any parameters or length");
  EXPECT_EQ(Text("%REQ(a?b?c)%"), "More than 1 alternative header specified in token: a?b?c");
  EXPECT_EQ(Text("%START_TIME:3%"), "START_TIME does not allow length to be specified.");
  EXPECT_EQ(Text("%METADATA(FOO:x)%"), "FOO is not supported type of metadata");
}

TEST_F(FormatterTest, JsonKeepsTypesOfLoneOperators) {
  EXPECT_EQ(Json({{"code", "%RESPONSE_CODE%"},
                  {"mix", "c=%RESPONSE_CODE% %REQ(NONE)%"},
                  {"none", "%REQ(NONE)%"},
                  {"ns", "%METADATA(ROUTE:ns)%"},
                  {"fixed", 1.5},
                  {"list", MetadataValue::List{"%PROTOCOL%", "y"}}}),
            "{\"code\":503,\"fixed\":1.5,\"list\":[\"HTTP/1.1\",\"y\"],\"mix\":\"c=503 -\","
            "\"none\":null,\"ns\":{\"k\":\"v\",\"l\":[true],\"n\":5}}\n");
}

TEST_F(FormatterTest, JsonLeavesOutNothingsWhenAsked) {
  EXPECT_EQ(Json({{"a", "%REQ(NONE)%"},
                  {"b", "%REQ(NONE)% %REQ(NONE)%"},
                  {"c", MetadataValue::Fields{{"d", "%REQ(NONE)%"}}},
                  {"e", MetadataValue()},
                  {"f", MetadataValue::List{}}},
                 Formatter::Missing::kEmpty),
            "{\"b\":\" \",\"f\":[]}\n");
}

TEST_F(FormatterTest, JsonStringsAreEscaped) {
  EXPECT_EQ(Json({{"q", "%REQ(x-quoted)%"}, {"r", "%REQ(x-raw)%"}}),
            "{\"q\":\"say \\\"hi\\\" \\\\ there\",\"r\":\"\\u00e9\\u0022q\"}\n");
}

TEST_F(FormatterTest, DefaultLineIsEnvoys) {
  std::string out;
  Formatter::Default()->Format(info_, &out);
  EXPECT_EQ(out,
            "[2026-11-24T11:43:15.607Z] \"GET /a/b?x=1&y=2 HTTP/1.1\" 503 - 0 0 250 - \"-\" \"-\" "
            "\"-\" \"-\" \"-\"\n");
}

TEST_F(FormatterTest, MetadataOfListenersAndVirtualHosts) {
  EXPECT_EQ(Text("%METADATA(LISTENER:ns:k)% %METADATA(VIRTUAL_HOST:ns:k)%"), "- -");
  connection_.listener_metadata = info_.virtual_host_metadata = &metadata_;
  connection_.filter_chain_metadata = &metadata_;
  EXPECT_EQ(Text("%METADATA(LISTENER:ns:k)% %METADATA(VIRTUAL_HOST:ns:n)% "
                 "%METADATA(LISTENER_FILTER_CHAIN:ns:l)%"),
            "v 5 [true]");
}

TEST_F(FormatterTest, ServerNamesComeFromTheHandshakeOrTheRequest) {
  request_.set_pseudo(HeaderId::kAuthority, "new.host:80");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME%"), "-");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(SNI_FIRST)%"), "new.host");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG)%"), "-");
  request_.Add("x-envoy-original-host", "old.host");
  connection_.requested_server_name = "sni";
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG)%"), "sni");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(HOST_FIRST)%"), "old.host");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(HOST_FIRST:HOST)%"), "new.host");
  EXPECT_EQ(Text("%REQUESTED_SERVER_NAME(X)%"),
            "Invalid REQUESTED_SERVER_NAME option: 'X', only "
            "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed");
}

TEST_F(FormatterTest, AttemptedHostsAndWhatIsNotMeasured) {
  EXPECT_EQ(Text("%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%"), "- -");
  info_.upstream_hosts_attempted = "10.0.0.1:80,[::1]:81";
  info_.upstream_host_names_attempted = "a.b:80";
  EXPECT_EQ(Text("%UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT% "
                 "%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT% %UPSTREAM_CONNECTION_ID%"),
            "10.0.0.1,[::1] a.b 0");
  EXPECT_EQ(Text("%BYTES_RETRANSMITTED% %ROUNDTRIP_DURATION%"), "0 -");
  EXPECT_EQ(Text("%COMMON_DURATION(BAD:DS_RX_END:ms)%"), "-");
}

}  // namespace
}  // namespace remora
