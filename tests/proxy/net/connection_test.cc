#include "proxy/net/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "proxy/net/acceptor.h"
#include "proxy/net/listen_sockets.h"
#include "proxy/net/socket_stream.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/memory_stream.h"
#include "tests/support/recording_events.h"

namespace remora::proxy {
namespace {

using testing::FarEnd;
using testing::MemoryStream;
using testing::RecordingEvents;

// A connection of ours over one end of a socket pair; the test works the other end by hand.
class SocketConnectionTest : public ::testing::Test {
 protected:
  void Open(size_t buffer_limit = 0) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    peer_ = ends[1];
    user_.connection = std::make_unique<Connection>(&loop_, AdoptSocket(&loop_, ends[0]),
                                                    MakeRawTransport(), buffer_limit);
    user_.connection->Start(&user_);
    Spin();
  }
  ~SocketConnectionTest() override {
    if (peer_ >= 0) close(peer_);
  }
  // Lets everything that is ready happen.
  void Spin(int turns = 3) {
    for (int i = 0; i < turns; ++i) loop_.RunOnce(false);
  }
  void Until(const std::function<bool()>& condition) {
    for (int i = 0; i < 100000 && !condition(); ++i) loop_.RunOnce(false);
    ASSERT_TRUE(condition());
  }
  void PeerSends(const std::string& bytes) {
    ASSERT_EQ(write(peer_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  std::string PeerReads() {
    std::string all;
    char piece[65536];
    while (true) {
      const ssize_t got = read(peer_, piece, sizeof(piece));
      if (got <= 0) return all;
      all.append(piece, static_cast<size_t>(got));
    }
  }
  Loop loop_;
  RecordingEvents user_;
  int peer_ = -1;
};

TEST_F(SocketConnectionTest, ConnectsReadsAndWrites) {
  Open();
  EXPECT_EQ(user_.connected, 1);
  PeerSends("hello");
  Spin();
  EXPECT_EQ(user_.received, "hello");
  EXPECT_EQ(user_.deliveries, 1);
  user_.Send("world");
  EXPECT_EQ(PeerReads(), "");  // leaves at the end of the turn
  Spin();
  EXPECT_EQ(PeerReads(), "world");
  EXPECT_EQ(user_.connection->bytes_read(), 5u);
  EXPECT_EQ(user_.connection->bytes_written(), 5u);
}

TEST_F(SocketConnectionTest, PausedReadingTellsNothingUntilResumed) {
  Open();
  user_.connection->PauseReading(Connection::kPauseUser);
  user_.connection->PauseReading(Connection::kPausePeer);
  PeerSends("later");
  Spin();
  EXPECT_EQ(user_.deliveries, 0);
  user_.connection->ResumeReading(Connection::kPauseUser);
  Spin();
  EXPECT_EQ(user_.deliveries, 0);
  user_.connection->ResumeReading(Connection::kPausePeer);
  Spin();
  EXPECT_EQ(user_.received, "later");
}

TEST_F(SocketConnectionTest, APeerThatClosesWhilePausedIsNoticedOnceAndItsBytesAreKept) {
  Open();
  user_.connection->PauseReading(Connection::kPauseUser);
  PeerSends("last words");
  shutdown(peer_, SHUT_WR);
  Spin(20);
  EXPECT_EQ(user_.peer_gone, 1);
  EXPECT_EQ(user_.deliveries, 0);
  EXPECT_FALSE(user_.closed);
  user_.connection->ResumeReading(Connection::kPauseUser);
  Spin();
  EXPECT_EQ(user_.received, "last words");
  EXPECT_TRUE(user_.eof_seen);
  EXPECT_FALSE(user_.closed);
}

TEST_F(SocketConnectionTest, HalfCloseKeepsTheOtherDirection) {
  Open();
  shutdown(peer_, SHUT_WR);
  Spin();
  EXPECT_TRUE(user_.eof_seen);
  EXPECT_EQ(user_.deliveries, 1);
  user_.Send("still here");
  user_.connection->CloseWrite();
  Spin();
  EXPECT_EQ(PeerReads(), "still here");
  char byte;
  EXPECT_EQ(read(peer_, &byte, 1), 0);
  EXPECT_FALSE(user_.closed);
}

TEST_F(SocketConnectionTest, ASlowReaderBlocksAndAllArrivesInTheEnd) {
  Open(64 * 1024);
  std::string big(4 << 20, 'x');
  for (size_t i = 0; i < big.size(); i += 1000) big[i] = static_cast<char>('a' + i / 1000 % 26);
  user_.Send(big);
  Spin();
  EXPECT_EQ(user_.blocked, 1);
  EXPECT_EQ(user_.drained, 0);
  EXPECT_GT(user_.connection->unsent(), 64u * 1024);
  std::string got;
  Until([&] {
    got += PeerReads();
    return got.size() == big.size();
  });
  EXPECT_EQ(got, big);
  EXPECT_EQ(user_.drained, 1);
  EXPECT_EQ(user_.connection->unsent(), 0u);
  EXPECT_GE(user_.emptied, 1);
}

TEST_F(SocketConnectionTest, InputThatNobodyTakesIsBounded) {
  Open(32 * 1024);
  user_.take = false;
  const std::string piece(16 * 1024, 'x');
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    const ssize_t wrote = write(peer_, piece.data(), piece.size());
    if (wrote > 0) sent += static_cast<size_t>(wrote);
    Spin(1);
  }
  EXPECT_GE(user_.connection->input().size(), 32u * 1024);
  EXPECT_LE(user_.connection->input().size(), 32u * 1024 + 4 * Body::kBlockSize);
  EXPECT_GT(sent, user_.connection->input().size());
  // Once it is taken the rest comes.
  user_.take = true;
  user_.connection->RedeliverInput();
  Until([&] { return user_.received.size() == sent; });
}

TEST_F(SocketConnectionTest, CloseAfterFlushSendsEverything) {
  Open();
  const std::string big(3 << 20, 'y');
  user_.Send(big);
  user_.connection->CloseAfterFlush(0);
  std::string got;
  Until([&] {
    got += PeerReads();
    return user_.closed;
  });
  got += PeerReads();
  EXPECT_EQ(got.size(), big.size());
  EXPECT_EQ(user_.close_kind, CloseKind::kLocal);
  EXPECT_FALSE(user_.reset);
}

TEST_F(SocketConnectionTest, DelayedCloseWaitsForThePeer) {
  Open();
  user_.Send("bye");
  user_.connection->CloseAfterFlush(1000);
  Spin();
  EXPECT_EQ(PeerReads(), "bye");
  EXPECT_FALSE(user_.closed);
  PeerSends("ignored");
  Spin();
  EXPECT_EQ(user_.received, "");
  close(peer_);
  peer_ = -1;
  Spin();
  EXPECT_TRUE(user_.closed);
  EXPECT_EQ(user_.close_kind, CloseKind::kLocal);
}

TEST_F(SocketConnectionTest, DelayedCloseEndsByItself) {
  Open();
  user_.connection->CloseAfterFlush(1000);
  Spin();
  EXPECT_FALSE(user_.closed);
  loop_.timers().Skip(1001);
  EXPECT_TRUE(user_.closed);
}

TEST_F(SocketConnectionTest, ABrokenPeerWhileOnlyWritingEndsTheConnection) {
  Open(16 * 1024);
  user_.connection->PauseReading(Connection::kPauseUser);
  user_.Send(std::string(4 << 20, 'z'));
  Spin();
  ASSERT_FALSE(user_.closed);
  close(peer_);
  peer_ = -1;
  Until([&] { return user_.closed; });
  EXPECT_TRUE(user_.reset);
  EXPECT_EQ(user_.close_kind, CloseKind::kRemote);
}

TEST_F(SocketConnectionTest, TheNextUserGetsWhatIsLeft) {
  Open();
  user_.take = false;
  PeerSends("hello");
  shutdown(peer_, SHUT_WR);
  Spin();
  RecordingEvents next;
  next.connection = std::move(user_.connection);
  next.connection->Start(&next);
  EXPECT_EQ(next.connected, 0);  // nothing happens inside Start()
  Spin();
  EXPECT_EQ(next.connected, 1);
  EXPECT_EQ(next.received, "hello");
  EXPECT_TRUE(next.eof_seen);
}

TEST_F(SocketConnectionTest, SteadyExchangeAllocatesNothing) {
  if (!AllocationsAreCounted()) GTEST_SKIP();
  Open();
  class Echo final : public ConnectionEvents {
   public:
    explicit Echo(Connection* connection) : connection_(connection) {}
    void OnConnected() override {}
    void OnData(bool) override {
      connection_->output().Append(connection_->input());
      connection_->Flush();
    }
    void OnOutputBlocked() override {}
    void OnOutputDrained() override {}
    void OnClosed(CloseKind, bool) override {}

   private:
    Connection* connection_;
  };
  Echo echo(user_.connection.get());
  user_.connection->SetEvents(&echo);
  char bytes[512] = {1};
  const auto exchange = [&] {
    ASSERT_EQ(write(peer_, bytes, sizeof(bytes)), static_cast<ssize_t>(sizeof(bytes)));
    Spin(2);
    ASSERT_EQ(read(peer_, bytes, sizeof(bytes)), static_cast<ssize_t>(sizeof(bytes)));
  };
  for (int i = 0; i < 100; ++i) exchange();
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) exchange();
  EXPECT_EQ(AllocationCount(), before);
}

// Over TCP: listening, accepting, connecting.
class TcpTest : public ::testing::Test {
 protected:
  std::shared_ptr<ListenGroup> Listen(const char* ip = "127.0.0.1") {
    auto group = sockets_.Bind(*Address::FromIp(ip, 0), ListenOptions());
    EXPECT_TRUE(group.ok()) << group.status();
    EXPECT_TRUE((*group)->Listen().ok());
    return *group;
  }
  void Spin(const std::function<bool()>& condition) {
    for (int i = 0; i < 200000 && !condition(); ++i) loop_.RunOnce(false);
    ASSERT_TRUE(condition());
  }
  Loop loop_;
  ListenSockets sockets_{1};
};

TEST_F(TcpTest, ConnectsToWhatListens) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    const std::shared_ptr<ListenGroup> group = Listen(ip);
    EXPECT_NE(group->address().port(), 0);
    RecordingEvents server;
    server.echo = true;
    Address remote;
    Acceptor acceptor(&loop_, group, 0, 0, [&](int descriptor, const Address& from) {
      remote = from;
      server.connection = std::make_unique<Connection>(&loop_, AdoptSocket(&loop_, descriptor),
                                                       MakeRawTransport(), 0);
      server.connection->Start(&server);
    });
    int error = 0;
    RecordingEvents client;
    client.connection = std::make_unique<Connection>(
        &loop_, ConnectSocket(&loop_, group->address(), {}, {}, &error), MakeRawTransport(), 0);
    client.Send("before it is connected");
    client.connection->Start(&client);
    Spin([&] { return client.received.size() == 22; });
    EXPECT_EQ(client.received, "before it is connected");
    EXPECT_EQ(remote, client.connection->stream().local_address());
    EXPECT_EQ(client.connection->stream().remote_address(), group->address());
    client.connection->Close(true);
    Spin([&] { return server.closed; });
    EXPECT_TRUE(server.reset);
  }
}

TEST_F(TcpTest, ARefusedConnectIsTold) {
  Address nobody;
  {
    nobody = Listen()->address();
  }
  int error = 0;
  RecordingEvents client;
  client.connection = std::make_unique<Connection>(
      &loop_, ConnectSocket(&loop_, nobody, {}, {}, &error), MakeRawTransport(), 0);
  client.connection->Start(&client);
  Spin([&] { return client.closed; });
  EXPECT_TRUE(client.reset);
  EXPECT_EQ(client.connected, 0);
  EXPECT_EQ(client.reason, "delayed connect error: Connection refused");
}

TEST_F(TcpTest, AResetWhilePausedIsTold) {
  const std::shared_ptr<ListenGroup> group = Listen();
  RecordingEvents server;
  Acceptor acceptor(&loop_, group, 0, 0, [&](int descriptor, const Address&) {
    server.connection = std::make_unique<Connection>(&loop_, AdoptSocket(&loop_, descriptor),
                                                     MakeRawTransport(), 0);
    server.connection->Start(&server);
    server.connection->PauseReading(Connection::kPauseUser);
  });
  int error = 0;
  RecordingEvents client;
  client.connection = std::make_unique<Connection>(
      &loop_, ConnectSocket(&loop_, group->address(), {}, {}, &error), MakeRawTransport(), 0);
  client.connection->Start(&client);
  Spin([&] { return server.connection != nullptr && client.connected == 1; });
  client.connection->Close(true);
  Spin([&] { return server.closed; });
  EXPECT_TRUE(server.reset);
}

TEST_F(TcpTest, AnAddressInUseIsRefusedInEnvoysWords) {
  ListenOptions alone;
  alone.reuse_port = false;
  auto first = sockets_.Bind(*Address::FromIp("127.0.0.1", 0), alone);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE((*first)->Listen().ok());
  ListenSockets others(1);
  const auto second = others.Bind((*first)->address(), alone);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(std::string(second.status().message()),
            "cannot bind '" + (*first)->address().ToString() + "': Address already in use");
}

TEST_F(TcpTest, TheSocketsOfAnAddressAreSharedWhileHeld) {
  ListenSockets two(2);
  const auto first = two.Bind(*Address::FromIp("127.0.0.1", 0), ListenOptions());
  ASSERT_TRUE(first.ok());
  EXPECT_NE((*first)->descriptor(0), (*first)->descriptor(1));
  const auto again = two.Bind((*first)->address(), ListenOptions());
  ASSERT_TRUE(again.ok());
}

TEST_F(TcpTest, UnixSocketsComeAndGo) {
  const std::string path = ::testing::TempDir() + "remora_net_test.sock";
  {
    auto group = sockets_.Bind(*Address::FromPipe(path), ListenOptions());
    ASSERT_TRUE(group.ok()) << group.status();
    ASSERT_TRUE((*group)->Listen().ok());
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
    int error = 0;
    auto stream = ConnectSocket(&loop_, (*group)->address(), {}, {}, &error);
    EXPECT_NE(stream, nullptr);
    stream->Close(false);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

// In memory: what sockets cannot be made to do on demand.
TEST(MemoryConnectionTest, ShortWritesGoOnWhenThereIsRoom) {
  Loop loop;
  auto far = std::make_shared<FarEnd>();
  RecordingEvents user;
  user.connection = std::make_unique<Connection>(
      &loop, std::make_unique<MemoryStream>(&loop, far, false), MakeRawTransport(), 10);
  far->set_room(4);
  user.connection->Start(&user);
  user.Send("0123456789abcdef");
  loop.RunOnce(false);
  EXPECT_EQ(far->Take(), "0123");
  EXPECT_EQ(user.blocked, 1);
  far->set_room(100);
  loop.RunOnce(false);
  EXPECT_EQ(far->Take(), "456789abcdef");
  EXPECT_EQ(user.drained, 1);
}

TEST(MemoryConnectionTest, ABrokenStreamIsTheLastThingHeard) {
  Loop loop;
  auto far = std::make_shared<FarEnd>();
  RecordingEvents user;
  user.connection = std::make_unique<Connection>(
      &loop, std::make_unique<MemoryStream>(&loop, far, false), MakeRawTransport(), 0);
  user.connection->Start(&user);
  loop.RunOnce(false);
  far->Break(ECONNRESET);
  loop.RunOnce(false);
  EXPECT_TRUE(user.closed);
  EXPECT_TRUE(user.reset);
  EXPECT_TRUE(user.connection->closed());
}

TEST(MemoryConnectionTest, APrefaceGoesFirst) {
  Loop loop;
  auto far = std::make_shared<FarEnd>();
  RecordingEvents user;
  user.connection = std::make_unique<Connection>(
      &loop, std::make_unique<MemoryStream>(&loop, far, false), MakeRawTransport(), 0);
  user.connection->SetPreface("PROXY UNKNOWN\r\n");
  user.connection->output().Append("hello");
  user.connection->Start(&user);
  for (int i = 0; i < 3; ++i) loop.RunOnce(false);
  EXPECT_EQ(far->Take(), "PROXY UNKNOWN\r\nhello");
}

TEST(MemoryConnectionTest, AGateKeepsBytesFromTheUser) {
  class Gate final : public ConnectionGate {
   public:
    bool Admit(bool) override {
      ++asked;
      return open;
    }
    void OnConnectionClosed() override { ++closed; }
    bool open = false;
    int asked = 0;
    int closed = 0;
  };
  Loop loop;
  auto far = std::make_shared<FarEnd>();
  Gate gate;
  RecordingEvents user;
  user.connection = std::make_unique<Connection>(
      &loop, std::make_unique<MemoryStream>(&loop, far, false), MakeRawTransport(), 0);
  user.connection->SetGate(&gate);
  user.connection->Start(&user);
  user.connection->RedeliverInput();
  for (int i = 0; i < 3; ++i) loop.RunOnce(false);
  EXPECT_EQ(gate.asked, 0);  // nothing arrived
  user.deliveries = 0;
  far->Send("one");
  for (int i = 0; i < 3; ++i) loop.RunOnce(false);
  EXPECT_EQ(user.deliveries, 0);
  EXPECT_EQ(user.connection->plain_read(), 3u);
  gate.open = true;
  far->Send("two");
  for (int i = 0; i < 3; ++i) loop.RunOnce(false);
  EXPECT_EQ(user.received, "onetwo");
  user.connection->Close();
  EXPECT_EQ(gate.closed, 1);
}

}  // namespace
}  // namespace remora::proxy
