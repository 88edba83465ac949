#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "proxy/net/connection.h"
#include "proxy/net/socket_stream.h"
#include "proxy/net/tls_transport.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/certs.h"
#include "tests/support/recording_events.h"

namespace remora::proxy {
namespace {

using testing::MakeCertificate;
using testing::RecordingEvents;
using testing::TestCertificate;

struct Calls {
  int reads = 0;
  int writes = 0;
};

// Passes everything on and counts what would be system calls.
class CountingStream final : public ByteStream {
 public:
  CountingStream(std::unique_ptr<ByteStream> below, Calls* calls)
      : below_(std::move(below)), calls_(calls) {}
  void Attach(ByteStreamEvents* events) override { below_->Attach(events); }
  void Watch(bool readable, bool writable) override { below_->Watch(readable, writable); }
  bool connecting() const override { return below_->connecting(); }
  int FinishConnect() override { return below_->FinishConnect(); }
  int PendingError() override { return below_->PendingError(); }
  IoResult Read(Body& into, size_t wish) override {
    ++calls_->reads;
    return below_->Read(into, wish);
  }
  IoResult Write(Body& from) override {
    ++calls_->writes;
    return below_->Write(from);
  }
  void ShutdownWrite() override { below_->ShutdownWrite(); }
  void Close(bool reset) override { below_->Close(reset); }
  Address local_address() const override { return below_->local_address(); }
  Address remote_address() const override { return below_->remote_address(); }
  int descriptor() const override { return below_->descriptor(); }

 private:
  std::unique_ptr<ByteStream> below_;
  Calls* calls_;
};

// Answers every message with a head and a body, given in two pieces.
class Answering final : public RecordingEvents {
 public:
  void OnData(bool /*eof*/) override {
    ++deliveries;
    connection->input().Clear();
    connection->output().Append(head);
    connection->output().Append(body);
    connection->Flush();
  }
  std::string head = "HTTP/1.1 200 OK\r\n\r\n";
  std::string body = std::string(2000, 'b');
};

class Asking final : public RecordingEvents {
 public:
  void OnData(bool /*eof*/) override {
    got += connection->input().size();
    connection->input().Clear();
  }
  size_t got = 0;
};

class IoCountTest : public ::testing::Test {
 protected:
  void Open(std::unique_ptr<Transport> asking, std::unique_ptr<Transport> answering) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    asking_.connection = Over(ends[0], std::move(asking), &asking_calls_);
    answering_.connection = Over(ends[1], std::move(answering), &answering_calls_);
    asking_.connection->Start(&asking_);
    answering_.connection->Start(&answering_);
    for (int i = 0; i < 1000 && (asking_.connected == 0 || answering_.connected == 0); ++i) {
      loop_.RunOnce(false);
    }
    ASSERT_EQ(answering_.connected, 1);
    // A session ticket goes with the first answer.
    for (int i = 0; i < 100; ++i) Exchange();
    asking_calls_ = answering_calls_ = Calls();
  }
  void Exchange() {
    asking_.got = 0;
    asking_.Send("GET /\r\n\r\n");
    const size_t whole = answering_.head.size() + answering_.body.size();
    for (int i = 0; i < 1000 && asking_.got < whole; ++i) loop_.RunOnce(false);
    ASSERT_EQ(asking_.got, whole);
  }
  void ExpectOneCallPerMessage(int messages) {
    for (int i = 0; i < messages; ++i) Exchange();
    EXPECT_EQ(answering_calls_.reads, messages);
    EXPECT_EQ(answering_calls_.writes, messages);
    EXPECT_EQ(asking_calls_.reads, messages);
    EXPECT_EQ(asking_calls_.writes, messages);
  }
  void OpenTls() {
    const TestCertificate own = MakeCertificate({.common_name = "own", .sans = {"DNS:own"}});
    TlsContextInput input;
    input.certificates = {own.AsConfig()};
    auto server = ServerTlsContext::Make(xds::DownstreamTls(), input);
    ASSERT_TRUE(server.ok()) << server.status();
    xds::UpstreamTls settings;
    settings.common.max_version = xds::TlsVersion::k13;
    auto client = ClientTlsContext::Make(settings, TlsContextInput());
    ASSERT_TRUE(client.ok()) << client.status();
    Open(MakeClientTls(*client, nullptr, {}), MakeServerTls(*server, *stats_.main_slab()));
  }

  Loop loop_;
  StatStore stats_;
  Calls asking_calls_, answering_calls_;
  Asking asking_;
  Answering answering_;

 private:
  std::unique_ptr<Connection> Over(int fd, std::unique_ptr<Transport> transport, Calls* calls) {
    return std::make_unique<Connection>(
        &loop_, std::make_unique<CountingStream>(AdoptSocket(&loop_, fd), calls),
        std::move(transport), 1 << 20);
  }
};

TEST_F(IoCountTest, OneReadAndOneWriteAMessage) {
  Open(MakeRawTransport(), MakeRawTransport());
  ExpectOneCallPerMessage(50);
}

TEST_F(IoCountTest, OneReadAndOneWriteAMessageOverTls) {
  OpenTls();
  ExpectOneCallPerMessage(50);
}

// The library takes a buffer for each record it reads and one for each it writes, and gives them
// back at once (so that idle connections hold none); nothing else comes from the heap.
TEST_F(IoCountTest, TlsExchangesTakeNoMoreThanTheLibrarysRecordBuffers) {
  if (!AllocationsAreCounted()) GTEST_SKIP();
  OpenTls();
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 100; ++i) Exchange();
  EXPECT_LE(AllocationCount() - before, 100u * 4);
}

}  // namespace
}  // namespace remora::proxy
