#include <openssl/ssl.h>
#include <stdio.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proxy/base/stats.h"
#include "proxy/net/certificate.h"
#include "proxy/net/tls_context.h"
#include "proxy/net/tls_transport.h"
#include "tests/support/certs.h"

namespace remora::proxy {
namespace {

using remora::testing::CertificateRequest;
using remora::testing::Inline;
using remora::testing::MakeCertificate;
using remora::testing::MakeCrl;
using remora::testing::TestCertificate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Outcome = Transport::Result;

// Two transports with nothing but chains of bytes between them.
class TlsTest : public ::testing::Test {
 protected:
  TlsTest()
      : ca_(MakeCertificate({.common_name = "root", .ca = true})),
        server_cert_(MakeCertificate(
            {.common_name = "server", .sans = {"DNS:srv.test", "DNS:*.wild.test"}}, &ca_)),
        client_cert_(
            MakeCertificate({.common_name = "client", .sans = {"URI:spiffe://mesh/web"}}, &ca_)) {
    server_input_.certificates = {server_cert_.AsConfig()};
    server_input_.stats = client_input_.stats = &stats_;
    server_input_.stat_prefix = "listener.l.";
    client_input_.stat_prefix = "cluster.c.";
    client_.sni = "srv.test";
    client_.common.max_version = xds::TlsVersion::k13;
    Trust(ca_, &client_input_);
  }

  static void Trust(const TestCertificate& ca, TlsContextInput* input) {
    if (!input->validation) input->validation.emplace();
    input->validation->trusted_ca = Inline(ca.pem);
  }
  static xds::SanMatcher San(xds::SanType type, const std::string& text,
                             StringMatcher::Kind kind = StringMatcher::Kind::kExact) {
    xds::SanMatcher san;
    san.type = type;
    san.matcher = StringMatcher(kind, text);
    return san;
  }
  void Mutual() {
    server_.require_client_certificate = true;
    Trust(ca_, &server_input_);
    client_input_.certificates = {client_cert_.AsConfig()};
  }

  void MakeContexts() {
    auto server = ServerTlsContext::Make(server_, server_input_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_context_ = *server;
    auto client = ClientTlsContext::Make(client_, client_input_);
    ASSERT_TRUE(client.ok()) << client.status();
    client_context_ = *client;
  }

  // Runs a handshake to its end; true when both sides are content.
  bool Handshake(const ClientTlsTarget& target = {}) {
    if (server_context_ == nullptr) MakeContexts();
    to_server_.Clear();
    to_client_.Clear();
    s_ = MakeServerTls(server_context_, *stats_.main_slab());
    c_ = MakeClientTls(client_context_, stats_.main_slab(), target);
    Outcome client = c_->Start(to_server_);
    Outcome server = s_->Start(to_client_);
    for (int i = 0; i < 10; ++i) {
      if (server == Outcome::kOk) server = s_->Receive(to_server_, false, at_server_, to_client_);
      if (client == Outcome::kOk) client = c_->Receive(to_client_, false, at_client_, to_server_);
      if (to_server_.empty() && to_client_.empty()) break;
    }
    if (server != Outcome::kOk || client != Outcome::kOk || !s_->handshake_done() ||
        !c_->handshake_done()) {
      return false;
    }
    // Session tickets leave with the server's first bytes.
    Body hello;
    hello.Append("hello");
    EXPECT_EQ(s_->Send(hello, to_client_), Outcome::kOk);
    EXPECT_EQ(c_->Receive(to_client_, false, at_client_, to_server_), Outcome::kOk);
    EXPECT_EQ(at_client_.ToString(), "hello");
    at_client_.Clear();
    return true;
  }
  std::string ToServer(const std::string& text) {
    Body plain;
    plain.Append(text);
    EXPECT_EQ(c_->Send(plain, to_server_), Outcome::kOk);
    EXPECT_EQ(s_->Receive(to_server_, false, at_server_, to_client_), Outcome::kOk);
    std::string got = at_server_.ToString();
    at_server_.Clear();
    return got;
  }
  uint64_t Stat(const std::string& name) { return stats_.Value(name); }

  StatStore stats_;
  TestCertificate ca_, server_cert_, client_cert_;
  xds::DownstreamTls server_;
  xds::UpstreamTls client_;
  TlsContextInput server_input_, client_input_;
  std::shared_ptr<const ServerTlsContext> server_context_;
  std::shared_ptr<const ClientTlsContext> client_context_;
  std::unique_ptr<Transport> s_, c_;
  Body to_server_, to_client_, at_server_, at_client_;
};

TEST_F(TlsTest, HandshakeBytesAndFacts) {
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(s_->facts()->version, "TLSv1.3");
  EXPECT_EQ(s_->facts()->sni, "srv.test");
  EXPECT_EQ(c_->facts()->peer_subject, "CN=server");
  EXPECT_THAT(c_->facts()->peer_dns_sans, ElementsAre("srv.test", "*.wild.test"));
  EXPECT_TRUE(c_->facts()->peer_certificate_validated);
  EXPECT_FALSE(s_->facts()->peer_certificate_presented);
  EXPECT_THAT(s_->facts()->local_dns_sans, ElementsAre("srv.test", "*.wild.test"));
  EXPECT_EQ(ToServer("hello"), "hello");
  const std::string big(1 << 20, 'b');
  EXPECT_EQ(ToServer(big), big);
  EXPECT_EQ(Stat("listener.l.ssl.handshake"), 1u);
  EXPECT_EQ(Stat("listener.l.ssl.no_certificate"), 1u);
  EXPECT_EQ(Stat("listener.l.ssl.versions.TLSv1.3"), 1u);
  EXPECT_EQ(Stat("cluster.c.ssl.handshake"), 1u);
  EXPECT_EQ(Stat("cluster.c.ssl.no_certificate"), 0u);
}

TEST_F(TlsTest, ClientsStayAtOneTwoUnlessAsked) {
  client_.common.max_version = xds::TlsVersion::kAuto;
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(s_->facts()->version, "TLSv1.2");
  EXPECT_THAT(s_->facts()->cipher, StartsWith("ECDHE-ECDSA-"));
  EXPECT_EQ(ToServer("old but fine"), "old but fine");
}

TEST_F(TlsTest, SmallPiecesLeaveInOneRecord) {
  ASSERT_TRUE(Handshake());
  Body plain;
  const std::string body(2000, 'b');
  plain.AppendStatic("HTTP/1.1 200 OK\r\n\r\n");
  plain.AppendStatic(body);
  Body wire;
  ASSERT_EQ(s_->Send(plain, wire), Outcome::kOk);
  // One record: a header of 5 bytes, the text, its type and a tag of 16.
  EXPECT_EQ(wire.size(), 19u + 2000 + 5 + 1 + 16);
}

TEST_F(TlsTest, CloseNotifyIsTheEnd) {
  ASSERT_TRUE(Handshake());
  c_->CloseSending(to_server_);
  EXPECT_EQ(s_->Receive(to_server_, false, at_server_, to_client_), Outcome::kEof);
}

TEST_F(TlsTest, MutualWithSpiffeNames) {
  Mutual();
  server_input_.validation->san_matchers = {
      San(xds::SanType::kUri, "spiffe://mesh/", StringMatcher::Kind::kPrefix)};
  ASSERT_TRUE(Handshake());
  const TlsFacts& facts = *s_->facts();
  EXPECT_TRUE(facts.peer_certificate_presented);
  EXPECT_TRUE(facts.peer_certificate_validated);
  EXPECT_THAT(facts.peer_uri_sans, ElementsAre("spiffe://mesh/web"));
  EXPECT_EQ(facts.peer_subject, "CN=client");
  EXPECT_EQ(facts.peer_issuer, "CN=root");
  EXPECT_EQ(facts.peer_fingerprint_sha256.size(), 64u);
  EXPECT_THAT(facts.peer_certificate_pem, StartsWith("-----BEGIN%20CERTIFICATE-----%0A"));
  EXPECT_EQ(Stat("listener.l.ssl.no_certificate"), 0u);
}

TEST_F(TlsTest, AMissingClientCertificateIsRefused) {
  Mutual();
  client_input_.certificates.clear();
  EXPECT_FALSE(Handshake());
  EXPECT_EQ(s_->failure_reason(),
            "TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:"
            "peer did not provide required client certificate:TLS_error_end");
  EXPECT_EQ(Stat("listener.l.ssl.fail_verify_no_cert"), 1u);
  EXPECT_EQ(Stat("listener.l.ssl.connection_error"), 0u);
}

TEST_F(TlsTest, AWrongNameIsRefused) {
  client_input_.validation->san_matchers = {San(xds::SanType::kDns, "other.test")};
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(c_->failure_reason()),
              StartsWith("TLS_error:|268435581:SSL routines:OPENSSL_internal:"
                         "CERTIFICATE_VERIFY_FAILED:verify cert failed: "
                         "SAN matcher, certificate SANs are [srv.test, *.wild.test]"));
  EXPECT_EQ(Stat("cluster.c.ssl.fail_verify_san"), 1u);
}

TEST_F(TlsTest, WildcardsCoverOneLabel) {
  client_input_.validation->san_matchers = {San(xds::SanType::kDns, "a.wild.test")};
  EXPECT_TRUE(Handshake());
  EXPECT_TRUE(DnsNameCovers("*.wild.test", "a.wild.test"));
  EXPECT_FALSE(DnsNameCovers("*.wild.test", "a.b.wild.test"));
  EXPECT_FALSE(DnsNameCovers("*.wild.test", "wild.test"));
  EXPECT_FALSE(DnsNameCovers("*.test", "wild.test"));
  EXPECT_TRUE(DnsNameCovers("Srv.Test", "sRV.tEST"));
  EXPECT_FALSE(DnsNameCovers("", ""));
}

TEST_F(TlsTest, AnotherAuthorityIsRefused) {
  const TestCertificate other = MakeCertificate({.common_name = "other root", .ca = true});
  Trust(other, &client_input_);
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(c_->failure_reason()),
              HasSubstr("X509_verify_cert: certificate verification error at depth"));
  EXPECT_EQ(Stat("cluster.c.ssl.fail_verify_error"), 1u);
}

TEST_F(TlsTest, ExpiredIsRefusedUnlessAllowed) {
  CertificateRequest old;
  old.sans = {"DNS:srv.test"};
  old.valid_from_s = -7200;
  old.valid_for_s = 3600;
  server_cert_ = MakeCertificate(old, &ca_);
  server_input_.certificates = {server_cert_.AsConfig()};
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(c_->failure_reason()), HasSubstr("certificate has expired"));
  client_input_.validation->allow_expired = true;
  client_context_ = nullptr;
  MakeContexts();
  EXPECT_TRUE(Handshake());
}

TEST_F(TlsTest, RevokedIsRefused) {
  client_input_.validation->crl = Inline(MakeCrl(ca_, {&client_cert_}));
  EXPECT_TRUE(Handshake());
  client_input_.validation->crl = Inline(MakeCrl(ca_, {&client_cert_, &server_cert_}));
  MakeContexts();
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(c_->failure_reason()), HasSubstr("certificate revoked"));
}

TEST_F(TlsTest, PinsAndUntrusted) {
  client_input_.validation->certificate_hashes = {server_cert_.Sha256()};
  EXPECT_TRUE(Handshake());
  client_input_.validation->certificate_hashes = {ca_.Sha256()};
  MakeContexts();
  EXPECT_FALSE(Handshake());
  EXPECT_EQ(Stat("cluster.c.ssl.fail_verify_cert_hash"), 1u);
  client_input_.validation->accept_untrusted = true;
  MakeContexts();
  EXPECT_TRUE(Handshake());
  EXPECT_FALSE(c_->facts()->peer_certificate_validated);
}

TEST_F(TlsTest, SpiffeTrustDomainsChooseTheAuthority) {
  Mutual();
  const TestCertificate other = MakeCertificate({.common_name = "other root", .ca = true});
  server_input_.validation = xds::ValidationContext();
  server_input_.validation->trust_domains = {{"mesh", Inline(ca_.pem)},
                                             {"else", Inline(other.pem)}};
  EXPECT_TRUE(Handshake());
  server_input_.validation->trust_domains = {{"mesh", Inline(other.pem)},
                                             {"else", Inline(ca_.pem)}};
  MakeContexts();
  EXPECT_FALSE(Handshake());
  server_input_.validation->trust_domains = {{"else", Inline(ca_.pem)}};
  MakeContexts();
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(s_->failure_reason()), HasSubstr("no trust bundle store"));
}

TEST_F(TlsTest, SpiffeLeavesMustSayThatTheySignNothing) {
  Mutual();
  server_input_.validation = xds::ValidationContext();
  server_input_.validation->trust_domains = {{"mesh", Inline(ca_.pem)}};
  server_input_.validation->san_matchers = {San(xds::SanType::kUri, "spiffe://mesh/api")};
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(s_->failure_reason()),
              HasSubstr("CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN match:TLS_error_end"));
  EXPECT_EQ(Stat("listener.l.ssl.fail_verify_san"), 1u);
  server_input_.validation->san_matchers.clear();
  CertificateRequest request;
  request.sans = {"URI:spiffe://mesh/web"};
  request.key_usage = false;
  const TestCertificate silent = MakeCertificate(request, &ca_);
  client_input_.certificates = {silent.AsConfig()};
  MakeContexts();
  EXPECT_FALSE(Handshake());
  EXPECT_THAT(std::string(s_->failure_reason()), HasSubstr("verify cert failed: cert precheck"));
  EXPECT_EQ(Stat("listener.l.ssl.fail_verify_error"), 1u);
}

TEST_F(TlsTest, ProtocolsByTheServersPreference) {
  server_.common.alpn = {"h2", "http/1.1"};
  client_.common.alpn = {"http/1.1", "h2"};
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(s_->alpn(), "h2");
  EXPECT_EQ(c_->alpn(), "h2");
  client_.common.alpn.clear();
  MakeContexts();
  const absl::string_view offered[] = {"http/1.1"};
  ASSERT_TRUE(Handshake({"", offered}));
  EXPECT_EQ(s_->alpn(), "http/1.1");
  const absl::string_view unknown[] = {"spdy"};
  ASSERT_TRUE(Handshake({"", unknown}));
  EXPECT_EQ(s_->alpn(), "");
}

TEST_F(TlsTest, TheNameAndTheKeyTypeChooseTheCertificate) {
  const TestCertificate rsa =
      MakeCertificate({.common_name = "rsa", .sans = {"DNS:srv.test"}, .rsa = true}, &ca_);
  const TestCertificate named =
      MakeCertificate({.common_name = "named", .sans = {"DNS:*.named.test"}}, &ca_);
  server_input_.certificates = {rsa.AsConfig(), server_cert_.AsConfig(), named.AsConfig()};
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(c_->facts()->peer_subject, "CN=server");
  ASSERT_TRUE(Handshake({"a.named.test", {}}));
  EXPECT_EQ(c_->facts()->peer_subject, "CN=named");
  client_.common.max_version = xds::TlsVersion::k12;
  client_.common.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
  MakeContexts();
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(c_->facts()->peer_subject, "CN=rsa");
}

TEST_F(TlsTest, ANameThatIsGivenDecides) {
  const TestCertificate rsa =
      MakeCertificate({.common_name = "rsa", .sans = {"DNS:rsa.test"}, .rsa = true}, &ca_);
  server_input_.certificates = {server_cert_.AsConfig(), rsa.AsConfig()};
  client_input_.validation.reset();
  // As it is spelled; the first certificate is for names that no other one is for.
  ASSERT_TRUE(Handshake({"rsa.test", {}}));
  EXPECT_EQ(c_->facts()->peer_subject, "CN=rsa");
  ASSERT_TRUE(Handshake({"RSA.test", {}}));
  EXPECT_EQ(c_->facts()->peer_subject, "CN=server");
  // Another name's certificate is no help to a client that cannot use its own.
  client_.common.max_version = xds::TlsVersion::k12;
  client_.common.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
  MakeContexts();
  EXPECT_FALSE(Handshake({"srv.test", {}}));
  server_.full_scan_certs_on_sni_mismatch = true;
  MakeContexts();
  EXPECT_TRUE(Handshake({"srv.test", {}}));
}

TEST_F(TlsTest, ADemandNeedsAnAuthority) {
  server_.require_client_certificate = true;
  EXPECT_TRUE(Handshake());
  EXPECT_EQ(Stat("listener.l.ssl.no_certificate"), 1u);
}

TEST_F(TlsTest, TheDepthCountsTheAnchor) {
  const TestCertificate between = MakeCertificate({.common_name = "between", .ca = true}, &ca_);
  TestCertificate leaf = MakeCertificate({.common_name = "leaf"}, &between);
  leaf.pem += between.pem;
  server_input_.certificates = {leaf.AsConfig()};
  client_input_.validation->max_verify_depth = 2;
  EXPECT_TRUE(Handshake());
  client_input_.validation->max_verify_depth = 1;
  MakeContexts();
  EXPECT_FALSE(Handshake());
}

TEST_F(TlsTest, SecretsAreWrittenWhereAskedFor) {
  const std::string path = ::testing::TempDir() + "/keys.log";
  remove(path.c_str());
  server_.common.key_log.path = path;
  ASSERT_TRUE(Handshake());
  std::ifstream file(path);
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  EXPECT_THAT(line, HasSubstr("_TRAFFIC_SECRET "));
  server_.common.key_log.path = ::testing::TempDir() + "/no/such/folder";
  EXPECT_FALSE(ServerTlsContext::Make(server_, server_input_).ok());
}

TEST_F(TlsTest, AStapleMayBeDemanded) {
  server_.ocsp_policy = xds::DownstreamTls::OcspPolicy::kMust;
  EXPECT_THAT(std::string(ServerTlsContext::Make(server_, server_input_).status().message()),
              HasSubstr("Required OCSP response is missing"));
}

TEST_F(TlsTest, SessionsAreResumedButNotAcrossContexts) {
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(Stat("cluster.c.ssl.session_reused"), 0u);
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(Stat("cluster.c.ssl.session_reused"), 1u);
  EXPECT_EQ(Stat("listener.l.ssl.session_reused"), 1u);
  EXPECT_EQ(c_->facts()->peer_subject, "CN=server");
  MakeContexts();  // a rotation
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(Stat("cluster.c.ssl.session_reused"), 1u);
}

TEST_F(TlsTest, SharedTicketKeysResumeAcrossContexts) {
  server_input_.ticket_keys.emplace();
  server_input_.ticket_keys->keys = {Inline(std::string(80, 'k'))};
  ASSERT_TRUE(Handshake());
  auto again = ServerTlsContext::Make(server_, server_input_);
  ASSERT_TRUE(again.ok());
  server_context_ = *again;
  ASSERT_TRUE(Handshake());
  EXPECT_EQ(Stat("listener.l.ssl.session_reused"), 1u);
  server_input_.ticket_keys->keys = {Inline("short")};
  EXPECT_THAT(std::string(ServerTlsContext::Make(server_, server_input_).status().message()),
              HasSubstr("Incorrect TLS session ticket key length"));
}

TEST_F(TlsTest, AutoSanValidationChecksTheNameThatWasSent) {
  client_.auto_sni_san_validation = true;
  EXPECT_TRUE(Handshake());
  EXPECT_FALSE(Handshake({"not.test", {}}));
  EXPECT_THAT(std::string(c_->failure_reason()),
              HasSubstr("SAN matcher, certificate SANs are [srv.test, *.wild.test]"));
}

TEST_F(TlsTest, PlainTextToATlsPortIsAnError) {
  MakeContexts();
  s_ = MakeServerTls(server_context_, *stats_.main_slab());
  to_server_.Append("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(s_->Receive(to_server_, false, at_server_, to_client_), Outcome::kFailed);
  EXPECT_THAT(std::string(s_->failure_reason()), HasSubstr("HTTP_REQUEST"));
  EXPECT_EQ(Stat("listener.l.ssl.connection_error"), 1u);
}

TEST_F(TlsTest, BadSettingsAreRefusedByName) {
  TlsContextInput input = server_input_;
  input.certificates.clear();
  EXPECT_THAT(std::string(ServerTlsContext::Make(server_, input).status().message()),
              HasSubstr("certificate specified"));
  input = server_input_;
  input.certificates[0].private_key = Inline(client_cert_.key_pem);
  EXPECT_THAT(std::string(ServerTlsContext::Make(server_, input).status().message()),
              HasSubstr("KEY_VALUES_MISMATCH"));
  xds::DownstreamTls bad = server_;
  bad.common.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256", "NOSUCH"};
  EXPECT_THAT(std::string(ServerTlsContext::Make(bad, server_input_).status().message()),
              HasSubstr("rejected when tried individually: NOSUCH"));
  bad = server_;
  bad.common.ecdh_curves = {"P-9"};
  EXPECT_THAT(std::string(ServerTlsContext::Make(bad, server_input_).status().message()),
              HasSubstr("Failed to initialize ECDH curves P-9"));
}

TEST_F(TlsTest, CertificatesCanBeListed) {
  MakeContexts();
  ASSERT_EQ(server_context_->certificates().chain.size(), 1u);
  const CertificateFacts& facts = server_context_->certificates().chain[0];
  EXPECT_EQ(facts.path, "<inline>");
  EXPECT_EQ(facts.subject_alt_names.size(), 2u);
  EXPECT_GT(facts.expires_s, facts.valid_from_s);
  ASSERT_EQ(client_context_->certificates().trusted.size(), 1u);
}

}  // namespace
}  // namespace remora::proxy
