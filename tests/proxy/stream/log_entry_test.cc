#include "proxy/stream/log_entry.h"

#include <gtest/gtest.h>

#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "filters/api/arena.h"
#include "filters/api/headers.h"
#include "filters/metadata.h"
#include "proxy/stream/grpc_log.h"

namespace remora::proxy {
namespace {

namespace data = envoy::data::accesslog::v3;

TEST(LogEntry, AnExchangeIsToldInFull) {
  Arena arena;
  Headers request(&arena);
  request.set_pseudo(HeaderId::kMethod, "POST");
  request.set_pseudo(HeaderId::kAuthority, "a.example");
  request.set_pseudo(HeaderId::kPath, "/p?q=1");
  request.Add("x-more", "yes");
  Headers response(&arena);
  response.set_status(503);
  Metadata notes;
  notes.namespaces["mine"] = MetadataValue(MetadataValue::Fields{{"k", MetadataValue("v")}});
  ConnectionInfo connection;
  connection.direct_remote = *Address::FromIp("127.0.0.9", 99);
  connection.local = *Address::FromIp("127.0.0.1", 80);
  StreamInfo info;
  info.downstream = &connection;
  info.remote = *Address::FromIp("10.0.0.1", 7);
  info.protocol = Protocol::kHttp2;
  info.response_code = 503;
  info.response_code_details = "why";
  info.flags.Add(ResponseFlag::kNoHealthyUpstream);
  info.upstream_cluster = "c";
  info.route_name = "r";
  info.bytes_sent = 17;
  info.timing.start_ns = 1000;
  info.timing.end_ns = 1000 + 2'000'000'000;
  info.request_headers = &request;
  info.response_headers = &response;
  info.dynamic_metadata = &notes;

  GrpcLogTarget target;
  target.request_headers = {"x-more", "x-absent"};
  data::HTTPAccessLogEntry entry;
  FillHttpEntry(target, info, LogMoment::kDownstreamEnd, &entry);
  const data::AccessLogCommon& common = entry.common_properties();
  EXPECT_EQ(common.downstream_remote_address().socket_address().address(), "10.0.0.1");
  EXPECT_EQ(common.downstream_direct_remote_address().socket_address().port_value(), 99u);
  EXPECT_EQ(common.upstream_cluster(), "c");
  EXPECT_EQ(common.route_name(), "r");
  EXPECT_TRUE(common.response_flags().no_healthy_upstream());
  EXPECT_FALSE(common.response_flags().upstream_overflow());
  EXPECT_EQ(common.duration().seconds(), 2);
  EXPECT_FALSE(common.has_upstream_remote_address());
  EXPECT_EQ(common.metadata().filter_metadata().at("mine").fields().at("k").string_value(), "v");
  EXPECT_EQ(common.access_log_type(), data::DownstreamEnd);
  EXPECT_EQ(entry.protocol_version(), data::HTTPAccessLogEntry::HTTP2);
  EXPECT_EQ(entry.request().request_method(), envoy::config::core::v3::POST);
  EXPECT_EQ(entry.request().path(), "/p?q=1");
  EXPECT_EQ(entry.request().request_headers().size(), 1u);
  EXPECT_EQ(entry.request().request_headers().at("x-more"), "yes");
  EXPECT_EQ(entry.response().response_code().value(), 503u);
  EXPECT_EQ(entry.response().response_body_bytes(), 17u);
  EXPECT_EQ(entry.response().response_code_details(), "why");
}

TEST(LogEntry, ASessionHasItsBytes) {
  ConnectionInfo connection;
  connection.direct_remote = connection.local = *Address::FromIp("127.0.0.1", 80);
  StreamInfo info;
  info.downstream = &connection;
  info.remote = connection.direct_remote;
  info.bytes_received = 3;
  info.bytes_sent = 4;
  data::TCPAccessLogEntry entry;
  FillTcpEntry(GrpcLogTarget(), info, LogMoment::kTcpConnectionEnd, &entry);
  EXPECT_EQ(entry.connection_properties().received_bytes(), 3u);
  EXPECT_EQ(entry.connection_properties().sent_bytes(), 4u);
  EXPECT_EQ(entry.common_properties().access_log_type(), data::TcpConnectionEnd);
}

}  // namespace
}  // namespace remora::proxy
