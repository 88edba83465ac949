#include "proxy/net/listener_filters.h"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/memory_stream.h"
#include "tests/support/recording_events.h"

namespace remora::proxy {
namespace {

using ::testing::ElementsAre;
using Kind = xds::ListenerFilter::Kind;
using Result = ListenerFilterRun::Result;
using remora::testing::FarEnd;
using remora::testing::MemoryStream;
using remora::testing::RecordingEvents;

// A ClientHello as BoringSSL writes it.
std::string Hello(const char* name, const std::string& alpn) {
  bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  bssl::UniquePtr<SSL> ssl(SSL_new(context.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
  if (!alpn.empty())
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const uint8_t*>(alpn.data()), alpn.size());
  SSL_set_connect_state(ssl.get());
  SSL_do_handshake(ssl.get());
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(out, &data, &size);
  return std::string(reinterpret_cast<const char*>(data), size);
}

// The same handshake message cut into records of at most `piece` bytes.
std::string InRecords(const std::string& hello, size_t piece) {
  const std::string message = hello.substr(5);
  std::string out;
  for (size_t at = 0; at < message.size(); at += piece) {
    const std::string part = message.substr(at, piece);
    out += hello.substr(0, 3);
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size() & 0xff);
    out += part;
  }
  return out;
}

TEST(TlsInspectorTest, ReadsNameAndProtocols) {
  ClientHello hello;
  const std::string bytes = Hello("Web.Example.COM", std::string("\x02h2\x08http/1.1"));
  ASSERT_EQ(ParseClientHello(bytes, 65536, &hello), HelloResult::kTls);
  EXPECT_EQ(hello.server_name, "web.example.com");
  EXPECT_THAT(hello.alpn, ElementsAre("h2", "http/1.1"));
}

TEST(TlsInspectorTest, EveryPrefixNeedsMore) {
  const std::string bytes = Hello("a.b", "");
  ClientHello hello;
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(ParseClientHello(absl::string_view(bytes).substr(0, size), 65536, &hello),
              HelloResult::kNeedMore)
        << size;
  }
  EXPECT_EQ(ParseClientHello(bytes, 65536, &hello), HelloResult::kTls);
}

TEST(TlsInspectorTest, AHelloInManyRecords) {
  const std::string whole = Hello("cut.example", "");
  for (const size_t piece : {1u, 2u, 3u, 7u, 100u}) {
    const std::string bytes = InRecords(whole, piece);
    ClientHello hello;
    ASSERT_EQ(ParseClientHello(bytes, 65536, &hello), HelloResult::kTls) << piece;
    EXPECT_EQ(hello.server_name, "cut.example");
    ASSERT_EQ(ParseClientHello(absl::string_view(bytes).substr(0, bytes.size() - 1), 65536, &hello),
              HelloResult::kNeedMore);
  }
}

TEST(TlsInspectorTest, OtherThingsAreNotTls) {
  ClientHello hello;
  EXPECT_EQ(ParseClientHello("GET / HTTP/1.1\r\n", 65536, &hello), HelloResult::kNotTls);
  // Judged once a whole record header is there.
  EXPECT_EQ(ParseClientHello(absl::string_view("\x16\x02\x01", 3), 65536, &hello),
            HelloResult::kNeedMore);
  EXPECT_EQ(ParseClientHello(absl::string_view("\x16\x02\x01\x00\x01", 5), 65536, &hello),
            HelloResult::kNotTls);
  EXPECT_EQ(ParseClientHello(absl::string_view("\x16\x03\x01\x00\x00", 5), 65536, &hello),
            HelloResult::kNotTls);
  // A ServerHello.
  EXPECT_EQ(
      ParseClientHello(absl::string_view("\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9), 65536, &hello),
      HelloResult::kNotTls);
}

TEST(TlsInspectorTest, LengthsAreBounded) {
  ClientHello hello;
  EXPECT_EQ(
      ParseClientHello(absl::string_view("\x16\x03\x01\x00\x04\x01\x01\x00\x01", 9), 65536, &hello),
      HelloResult::kTooLarge);
  const std::string bytes = Hello("a.b", "");
  EXPECT_EQ(ParseClientHello(bytes, 64, &hello), HelloResult::kTooLarge);
}

TEST(TlsInspectorTest, RecordsAreBounded) {
  std::string bytes("\x16\x03\x01\x00\x04\x01\x00\xff\xff", 9);
  ClientHello hello;
  for (int i = 0; i < 10000; ++i) bytes.append("\x16\x03\x01\x00\x01\x00", 6);
  EXPECT_EQ(ParseClientHello(bytes, 65536, &hello), HelloResult::kTooLarge);
  EXPECT_EQ(ParseClientHello(absl::string_view(bytes).substr(0, 6000), 65536, &hello),
            HelloResult::kNeedMore);
}

TEST(TlsInspectorTest, ChangedBytesNeverCrash) {
  const std::string whole = Hello("a.b.c", std::string("\x02h2"));
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char value : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = value;
      ClientHello hello;
      ParseClientHello(bytes, 65536, &hello);
    }
  }
}

TEST(HttpInspectorTest, RecognisesRequestLines) {
  EXPECT_EQ(GuessHttp("GET / HTTP/1.1\r\n"), HttpGuess::kHttp11);
  EXPECT_EQ(GuessHttp("\r\nPOST /x HTTP/1.0\r\nHost: a\r\n"), HttpGuess::kHttp10);
  EXPECT_EQ(GuessHttp("GET / HTTP/1.1"), HttpGuess::kNeedMore);
  EXPECT_EQ(GuessHttp("G"), HttpGuess::kNeedMore);
  EXPECT_EQ(GuessHttp("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HttpGuess::kHttp2);
  EXPECT_EQ(GuessHttp("PRI * HT"), HttpGuess::kNeedMore);
  EXPECT_EQ(GuessHttp("GET / HTTP/3.0\r\n"), HttpGuess::kNotHttp);
  EXPECT_EQ(GuessHttp(absl::string_view("\x16\x03\x01", 3)), HttpGuess::kNotHttp);
  EXPECT_EQ(GuessHttp("GE(T / HTTP/1.1\r\n"), HttpGuess::kNotHttp);
  EXPECT_EQ(GuessHttp(std::string(100, 'A')), HttpGuess::kNotHttp);
}

ProxyHeader Parsed(absl::string_view bytes,
                   ProxyHeaderResult expected = ProxyHeaderResult::kHeader) {
  ProxyHeader header;
  EXPECT_EQ(ParseProxyHeader(bytes, &header), expected) << bytes;
  return header;
}

TEST(ProxyProtocolTest, VersionOne) {
  const ProxyHeader header = Parsed("PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\nrest");
  EXPECT_EQ(header.size, 37u);
  EXPECT_EQ(header.source.ToString(), "1.2.3.4:1000");
  EXPECT_EQ(header.destination.ToString(), "5.6.7.8:443");
  EXPECT_EQ(Parsed("PROXY TCP6 ::1 fe80::2 1 2\r\n").source.ToString(), "[::1]:1");
  EXPECT_EQ(Parsed("PROXY UNKNOWN\r\n").source.kind(), Address::Kind::kNone);
  EXPECT_EQ(Parsed("PROXY UNKNOWN what ever\r\n").source.kind(), Address::Kind::kNone);
}

TEST(ProxyProtocolTest, VersionOneIsStrict) {
  for (const char* bad :
       {"PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 01 443\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n"}) {
    Parsed(bad, ProxyHeaderResult::kBroken);
  }
  Parsed(absl::string_view("PROXY UNKNOWN \0\r\n", 17), ProxyHeaderResult::kBroken);
  Parsed(absl::string_view("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n", 34), ProxyHeaderResult::kBroken);
  Parsed("PROXY " + std::string(200, 'x'), ProxyHeaderResult::kBroken);
  Parsed("PROXY TCP4 1.2.3.4", ProxyHeaderResult::kNeedMore);
  Parsed("PRO", ProxyHeaderResult::kNeedMore);
  Parsed("GET / HTTP/1.1\r\n", ProxyHeaderResult::kNone);
}

std::string Version2(char command, char family, const std::string& body) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes += command;
  bytes += family;
  bytes += static_cast<char>(body.size() >> 8);
  bytes += static_cast<char>(body.size() & 0xff);
  return bytes + body;
}

TEST(ProxyProtocolTest, VersionTwo) {
  const std::string addresses("\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x01\xbb", 12);
  const std::string bytes = Version2('\x21', '\x11',
                                     addresses + std::string("\xea\x00\x03"
                                                             "abc",
                                                             6));
  const ProxyHeader header = Parsed(bytes);
  EXPECT_EQ(header.size, bytes.size());
  EXPECT_EQ(header.source.ToString(), "1.2.3.4:1000");
  EXPECT_EQ(header.destination.ToString(), "5.6.7.8:443");
  ASSERT_EQ(header.tlvs.size(), 1u);
  EXPECT_EQ(header.tlvs[0].type, 0xea);
  EXPECT_EQ(header.tlvs[0].value, "abc");
  for (size_t size = 0; size < bytes.size(); ++size) {
    Parsed(absl::string_view(bytes).substr(0, size), ProxyHeaderResult::kNeedMore);
  }
  EXPECT_EQ(Parsed(Version2('\x20', '\0', "")).source.kind(), Address::Kind::kNone);
  Parsed(Version2('\x11', '\x11', addresses), ProxyHeaderResult::kBroken);
  Parsed(Version2('\x22', '\x11', addresses), ProxyHeaderResult::kBroken);
  Parsed(Version2('\x21', '\x12', addresses), ProxyHeaderResult::kBroken);
  Parsed(Version2('\x21', '\x11', addresses.substr(1)), ProxyHeaderResult::kBroken);
  Parsed(Version2('\x21', '\x11', addresses + "\xea"), ProxyHeaderResult::kBroken);
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() : far_(std::make_shared<FarEnd>()) {
    user_.take = false;
    user_.connection = std::make_unique<Connection>(
        &loop_, std::make_unique<MemoryStream>(&loop_, far_, false), MakeRawTransport(), 0);
    user_.connection->info().local = *Address::FromIp("10.0.0.1", 443);
    user_.connection->info().remote = *Address::FromIp("10.0.0.2", 5000);
    user_.connection->Start(&user_);
  }
  void Arrives(const std::string& bytes) {
    far_->Send(bytes);
    loop_.RunOnce(false);
    loop_.RunOnce(false);
  }
  static xds::ListenerFilter Filter(Kind kind) {
    xds::ListenerFilter filter;
    filter.kind = kind;
    return filter;
  }
  Loop loop_;
  std::shared_ptr<FarEnd> far_;
  RecordingEvents user_;
};

TEST_F(RunTest, LooksWithoutTaking) {
  const std::vector<xds::ListenerFilter> filters = {Filter(Kind::kTlsInspector),
                                                    Filter(Kind::kHttpInspector)};
  ListenerFilterRun run(filters);
  EXPECT_EQ(run.OnStart(*user_.connection), Result::kNeedMore);
  const std::string hello = Hello("x.y", std::string("\x02h2"));
  Arrives(hello.substr(0, 30));
  EXPECT_EQ(run.OnData(*user_.connection), Result::kNeedMore);
  Arrives(hello.substr(30));
  EXPECT_EQ(run.OnData(*user_.connection), Result::kDone);
  EXPECT_EQ(run.transport_protocol(), "tls");
  EXPECT_THAT(run.application_protocols(), ElementsAre("h2"));
  EXPECT_EQ(user_.connection->info().requested_server_name, "x.y");
  EXPECT_EQ(user_.connection->input().ToString(), hello);
}

TEST_F(RunTest, ProxyHeaderIsTakenAndPlainHttpFound) {
  const std::vector<xds::ListenerFilter> filters = {
      Filter(Kind::kProxyProtocol), Filter(Kind::kTlsInspector), Filter(Kind::kHttpInspector)};
  ListenerFilterRun run(filters);
  Arrives("PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\nGET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(run.OnData(*user_.connection), Result::kDone);
  EXPECT_EQ(run.transport_protocol(), "");
  EXPECT_THAT(run.application_protocols(), ElementsAre("http/1.1"));
  EXPECT_EQ(user_.connection->input().ToString(), "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(user_.connection->info().remote.ToString(), "1.2.3.4:1000");
  EXPECT_EQ(user_.connection->info().local.ToString(), "5.6.7.8:80");
}

TEST_F(RunTest, NoProxyHeaderIsRefusedUnlessAllowed) {
  std::vector<xds::ListenerFilter> filters = {Filter(Kind::kProxyProtocol)};
  Arrives("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(ListenerFilterRun(filters).OnData(*user_.connection), Result::kReject);
  filters[0].allow_without_proxy_protocol = true;
  EXPECT_EQ(ListenerFilterRun(filters).OnData(*user_.connection), Result::kDone);
  EXPECT_EQ(user_.connection->info().remote.ToString(), "10.0.0.2:5000");
}

TEST_F(RunTest, FiltersThatAreOffForThePortNeedNoBytes) {
  std::vector<xds::ListenerFilter> filters = {Filter(Kind::kTlsInspector)};
  filters[0].disabled.emplace();
  filters[0].disabled->kind = xds::ListenerFilterPredicate::Kind::kPortRange;
  filters[0].disabled->port_start = 443;
  filters[0].disabled->port_end = 444;
  EXPECT_EQ(ListenerFilterRun(filters).OnStart(*user_.connection), Result::kDone);
}

TEST_F(RunTest, OriginalDestinationNeedsNoBytes) {
  const std::vector<xds::ListenerFilter> filters = {Filter(Kind::kOriginalDst)};
  EXPECT_EQ(ListenerFilterRun(filters).OnStart(*user_.connection), Result::kDone);
  EXPECT_EQ(user_.connection->info().local.ToString(), "10.0.0.1:443");
}

TEST(ProxyProtocolTest, WrittenHeadersAreReadBack) {
  std::string tlvs;
  AppendProxyTlv(0xe0, "vpc", &tlvs);
  for (const auto& [from, to] :
       {std::pair("198.51.100.7", "203.0.113.9"), std::pair("2001:db8::1", "2001:db8::2")}) {
    const Address source = *Address::FromIp(from, 4660);
    const Address destination = *Address::FromIp(to, 80);
    for (const int version : {1, 2}) {
      const std::string bytes = WriteProxyHeader(version, source, destination, tlvs);
      ProxyHeader header;
      ASSERT_EQ(ParseProxyHeader(bytes, &header), ProxyHeaderResult::kHeader);
      EXPECT_EQ(header.version, version);
      EXPECT_EQ(header.size, bytes.size());
      EXPECT_EQ(header.source, source);
      EXPECT_EQ(header.destination, destination);
      ASSERT_EQ(header.tlvs.size(), version == 2 ? 1u : 0u);
      if (version == 2) {
        EXPECT_EQ(header.tlvs[0].value, "vpc");
      }
    }
  }
  ProxyHeader local;
  ASSERT_EQ(ParseProxyHeader(WriteProxyHeader(2, {}, {}, {}), &local), ProxyHeaderResult::kHeader);
  EXPECT_EQ(local.source.kind(), Address::Kind::kNone);
  EXPECT_EQ(WriteProxyHeader(1, {}, {}, {}), "PROXY UNKNOWN\r\n");
}

TEST(ListenerFilterStatsTest, InspectorsCountWhatTheyFound) {
  StatStore store;
  Loop loop;
  xds::ListenerFilter tls, http;
  tls.kind = Kind::kTlsInspector;
  http.kind = Kind::kHttpInspector;
  const std::vector<xds::ListenerFilter> filters = {tls, http};
  const ListenerFilterStats stats = RegisterListenerFilterStats(filters, store);
  for (const std::string& bytes :
       {Hello("a.b", ""), std::string("GET / HTTP/1.1\r\n\r\n"), std::string("nonsense\r\n")}) {
    auto far = std::make_shared<FarEnd>();
    Connection connection(&loop, std::make_unique<MemoryStream>(&loop, far, false),
                          MakeRawTransport(), 1 << 20);
    connection.input().Append(bytes);
    ListenerFilterRun run(filters, &stats, store.main_slab());
    EXPECT_EQ(run.OnStart(connection), Result::kDone);
  }
  EXPECT_EQ(store.Value("tls_inspector.tls_found"), 1u);
  EXPECT_EQ(store.Value("tls_inspector.sni_found"), 1u);
  EXPECT_EQ(store.Value("tls_inspector.alpn_not_found"), 1u);
  EXPECT_EQ(store.Value("tls_inspector.tls_not_found"), 2u);
  EXPECT_EQ(store.Value("http_inspector.http11_found"), 1u);
  EXPECT_EQ(store.Value("http_inspector.http_not_found"), 1u);
}

}  // namespace
}  // namespace remora::proxy
