#include "proxy/stream/request_headers.h"

#include <string>

#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

class RequestHeadersTest : public testing::Test {
 protected:
  RequestHeadersTest() {
    connection_.remote = connection_.direct_remote = *Address::FromIpPort("203.0.113.9:4000");
    connection_.local = *Address::FromIpPort("192.0.2.1:8080");
    request_.set_pseudo(HeaderId::kMethod, "GET");
    request_.set_pseudo(HeaderId::kPath, "/");
    request_.set_pseudo(HeaderId::kAuthority, "a");
  }

  ClientVerdict Prepare(bool upgrade = false) {
    const RequestContext context{config_, connection_, host_, node_id_, cluster_,
                                 nullptr, upgrade,     1,     2};
    return PrepareRequestHeaders(context, request_);
  }
  std::string Value(absl::string_view name) {
    return std::string(request_.GetJoined(name).value_or("(none)"));
  }

  xds::HttpConnectionManager config_;
  ConnectionInfo connection_;
  Address host_ = *Address::FromIp("198.51.100.7", 0);
  std::string node_id_ = "node";
  std::string cluster_ = "service";
  Arena arena_;
  Headers request_{&arena_};
};

TEST_F(RequestHeadersTest, EdgeAppendsThePeerAndOverwritesProto) {
  config_.use_remote_address = true;
  request_.Add("x-forwarded-for", "1.2.3.4");
  request_.Add("x-forwarded-proto", "https");
  request_.Add("x-envoy-external-address", "9.9.9.9");
  const ClientVerdict verdict = Prepare();
  EXPECT_EQ(Value("x-forwarded-for"), "1.2.3.4,203.0.113.9");
  EXPECT_EQ(Value("x-forwarded-proto"), "http");
  EXPECT_EQ(Value("x-envoy-external-address"), "203.0.113.9");
  EXPECT_EQ(request_.scheme(), "http");
  EXPECT_TRUE(verdict.edge);
  EXPECT_EQ(verdict.remote.ToString(), "203.0.113.9:4000");
}

TEST_F(RequestHeadersTest, LoopbackClientsStandAsTheHostsOwnAddress) {
  config_.use_remote_address = true;
  connection_.remote = *Address::FromIpPort("127.0.0.1:4000");
  Prepare();
  EXPECT_EQ(Value("x-forwarded-for"), "198.51.100.7");
  EXPECT_EQ(Value("x-envoy-external-address"), "127.0.0.1");
}

TEST_F(RequestHeadersTest, TrustedHopsAreCountedFromTheRight) {
  config_.use_remote_address = true;
  config_.xff_num_trusted_hops = 2;
  request_.Add("x-forwarded-for", "1.1.1.1, 2.2.2.2, 3.3.3.3");
  request_.Add("x-forwarded-proto", "https");
  EXPECT_EQ(Prepare().remote.IpString(), "2.2.2.2");
  EXPECT_EQ(Value("x-forwarded-proto"), "https");
  EXPECT_EQ(request_.scheme(), "https");
}

TEST_F(RequestHeadersTest, WithoutRemoteAddressTheLastForwardedOneCounts) {
  request_.Add("x-forwarded-for", "1.1.1.1,2.2.2.2");
  EXPECT_EQ(Prepare().remote.IpString(), "2.2.2.2");
  EXPECT_EQ(Value("x-forwarded-for"), "1.1.1.1,2.2.2.2");
  EXPECT_FALSE(AddressFromXff(request_, 5).found);
}

TEST_F(RequestHeadersTest, OnlyASingleAddressInsideTheRangesIsInternal) {
  config_.internal_ranges.push_back(*CidrRange::Create("10.0.0.0", 8));
  request_.Add("x-forwarded-for", "10.0.0.5");
  request_.Add("x-envoy-retry-on", "5xx");
  EXPECT_TRUE(Prepare().internal);
  EXPECT_EQ(Value("x-envoy-internal"), "true");
  EXPECT_EQ(Value("x-envoy-retry-on"), "5xx");
  request_.Set(HeaderId::kXForwardedFor, "1.1.1.1,10.0.0.5");
  EXPECT_FALSE(Prepare().internal);
  EXPECT_EQ(Value("x-envoy-internal"), "(none)");
  EXPECT_EQ(Value("x-envoy-retry-on"), "(none)");
}

TEST_F(RequestHeadersTest, HopByHopFieldsGoUnlessTheyUpgrade) {
  request_.Add("connection", "upgrade");
  request_.Add("upgrade", "websocket");
  request_.Add("te", "gzip, trailers");
  request_.Add("keep-alive", "5");
  request_.Add("proxy-connection", "x");
  Prepare(/*upgrade=*/true);
  EXPECT_EQ(Value("upgrade"), "websocket");
  EXPECT_EQ(Value("te"), "trailers");
  EXPECT_EQ(Value("keep-alive"), "(none)");
  Prepare();
  EXPECT_EQ(Value("upgrade"), "(none)");
  EXPECT_EQ(Value("connection"), "(none)");
}

TEST_F(RequestHeadersTest, AReferrerThatIsNoUrlGoes) {
  request_.Add("referer", "https://ok.example/x");
  Prepare();
  EXPECT_EQ(Value("referer"), "https://ok.example/x");
  request_.Set(HeaderId::kReferer, "http://a,http://b");
  Prepare();
  EXPECT_EQ(Value("referer"), "(none)");
  request_.Add("referer", "not a url");
  Prepare();
  EXPECT_EQ(Value("referer"), "(none)");
}

TEST_F(RequestHeadersTest, RequestIdsAreMadeOnceAndReplacedAtTheEdge) {
  Prepare();
  const std::string made = Value("x-request-id");
  ASSERT_EQ(made.size(), 36u);
  EXPECT_EQ(made[14], '4');
  Prepare();
  EXPECT_EQ(Value("x-request-id"), made);
  config_.use_remote_address = true;
  request_.Set(HeaderId::kXRequestId, "mine");
  config_.preserve_external_request_id = true;
  Prepare();
  EXPECT_EQ(Value("x-request-id"), "mine");
  config_.preserve_external_request_id = false;
  Prepare();
  EXPECT_EQ(Value("x-request-id").size(), 36u);
}

TEST_F(RequestHeadersTest, ClientCertificatesByMode) {
  TlsFacts tls;
  tls.peer_certificate_presented = true;
  tls.peer_fingerprint_sha256 = "abc";
  tls.peer_subject = "CN=bare one\\, \\\"quoted\\\"";
  tls.peer_uri_sans = {"spiffe://td/a"};
  tls.peer_dns_sans = {"c.test", "evil;By=x,\"y"};
  tls.local_uri_sans = {"spiffe://td/server"};
  config_.xfcc_subject = config_.xfcc_uri = config_.xfcc_dns = true;
  using Mode = xds::HttpConnectionManager::ClientCert;

  request_.Add("x-forwarded-client-cert", "Hash=00");
  config_.client_cert = Mode::kForwardOnly;
  PrepareClientCert(config_, &tls, request_);
  EXPECT_EQ(Value("x-forwarded-client-cert"), "Hash=00");
  config_.client_cert = Mode::kAppendForward;
  PrepareClientCert(config_, &tls, request_);
  EXPECT_EQ(Value("x-forwarded-client-cert"),
            "Hash=00,By=spiffe://td/server;Hash=abc;Subject=\"CN=bare one\\, "
            "\\\"quoted\\\"\";URI=spiffe://td/a;DNS=c.test;DNS=\"evil;By=x,\\\"y\"");
  config_.client_cert = Mode::kSanitizeSet;
  tls.peer_dns_sans.clear();
  tls.peer_subject = "CN=c";
  PrepareClientCert(config_, &tls, request_);
  EXPECT_EQ(Value("x-forwarded-client-cert"),
            "By=spiffe://td/server;Hash=abc;Subject=\"CN=c\";URI=spiffe://td/a");
  PrepareClientCert(config_, nullptr, request_);
  EXPECT_EQ(Value("x-forwarded-client-cert"), "(none)");
}

TEST_F(RequestHeadersTest, UserAgentAndViaAreAdded) {
  config_.add_user_agent = true;
  config_.via = "1.1 remora";
  request_.Add("via", "1.0 other");
  Prepare();
  EXPECT_EQ(Value("user-agent"), "service");
  EXPECT_EQ(Value("x-envoy-downstream-service-cluster"), "service");
  EXPECT_EQ(Value("x-envoy-downstream-service-node"), "node");
  EXPECT_EQ(Value("via"), "1.0 other, 1.1 remora");
}

TEST_F(RequestHeadersTest, DetectionByXffKeepsToHopsOrRanges) {
  config_.original_ip_detection.resize(1);
  xds::OriginalIpDetection& xff = config_.original_ip_detection[0];
  xff.trusted_hops = 1;
  xff.skip_xff_append = false;
  request_.Add("x-forwarded-for", "1.2.3.4, 5.6.7.8");
  EXPECT_EQ(Prepare().remote.ToString(), "1.2.3.4:0");
  EXPECT_EQ(Value("x-forwarded-for"), "1.2.3.4, 5.6.7.8,203.0.113.9");

  xff = xds::OriginalIpDetection();
  xff.trusted_ranges = {*CidrRange::Create("203.0.113.0", 24), *CidrRange::Create("10.0.0.0", 8)};
  request_.Set("x-forwarded-for", "1.2.3.4, 10.6.7.8");
  EXPECT_EQ(Prepare().remote.ToString(), "1.2.3.4:0");
  EXPECT_EQ(Value("x-forwarded-for"), "1.2.3.4, 10.6.7.8");
  // Whoever is no proxy of ours may say what he likes.
  connection_.remote = *Address::FromIpPort("198.18.0.1:1");
  EXPECT_EQ(Prepare().remote.ToString(), "198.18.0.1:1");
}

TEST_F(RequestHeadersTest, DetectionByAHeaderMayInsistOnIt) {
  config_.original_ip_detection.resize(1);
  xds::OriginalIpDetection& custom = config_.original_ip_detection[0];
  custom.kind = xds::OriginalIpDetection::Kind::kCustomHeader;
  custom.header = "x-ip";
  custom.reject_status = 401;
  EXPECT_EQ(Prepare().reject_status, 401);
  request_.Add("x-ip", "10.0.0.1");
  const ClientVerdict verdict = Prepare();
  EXPECT_EQ(verdict.reject_status, 0);
  EXPECT_EQ(verdict.remote.ToString(), "10.0.0.1:0");
}

TEST_F(RequestHeadersTest, WithoutRangesPrivateNetworksAreInside) {
  config_.use_remote_address = true;
  config_.has_internal_address_config = true;
  connection_.remote = *Address::FromIpPort("192.168.1.1:1");
  EXPECT_TRUE(Prepare().internal);
  EXPECT_EQ(Value("x-envoy-internal"), "true");
}

}  // namespace
}  // namespace remora::proxy
