#include "proxy/main/admin/admin_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/loop.h"
#include "proxy/upstream/worker_view.h"
#include "tests/proxy/main/admin/fake_state.h"

namespace remora::proxy {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kBootstrap[] =
    "{admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}, "
    "stats_flush_interval: 0.05s}";

// A client's end of a connection to the server under test, on the same thread.
class Client {
 public:
  Client(Loop* loop, const Address& address)
      : loop_(loop), socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    EXPECT_EQ(connect(socket_, address.sockaddr_ptr(), address.sockaddr_size()), 0);
    fcntl(socket_, F_SETFL, O_NONBLOCK);
  }
  ~Client() { close(socket_); }

  void Send(const std::string& bytes) {
    EXPECT_EQ(write(socket_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  // Runs the loop until what came holds `end` or the server closed.
  const std::string& Until(const std::string& end) {
    for (int i = 0; i < 20000 && got_.find(end) == std::string::npos && !closed_; ++i) {
      loop_->RunOnce(false);
      Read();
    }
    return got_;
  }
  const std::string& got() const { return got_; }
  bool closed() const { return closed_; }
  void Forget() { got_.clear(); }

 private:
  void Read() {
    char bytes[65536];
    const ssize_t size = read(socket_, bytes, sizeof(bytes));
    if (size > 0) got_.append(bytes, size);
    if (size == 0) closed_ = true;
  }

  Loop* loop_;
  int socket_;
  std::string got_;
  bool closed_ = false;
};

class AdminServerTest : public ::testing::Test {
 protected:
  AdminServerTest()
      : state_(kBootstrap),
        view_(&loop_, state_.stats_.main_slab(), 1, {}),
        logs_(&loop_, 1000,
              state_.stats_.MainScope<FileStat>(
                  state_.stats_.Register("filesystem.", FileStatSchema()))),
        http_(&view_, &logs_),
        sockets_(1) {
    AdminServer::Input input;
    input.state = &state_;
    input.http = &http_;
    input.log_files = &files_;
    input.sockets = &sockets_;
    auto started = AdminServer::Start(input);
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) server_ = *std::move(started);
  }
  ~AdminServerTest() override {
    server_.reset();
    loop_.RunOnce(false);
  }

  Loop loop_;
  testing::FakeState state_;
  LogFiles files_;
  WorkerView view_;
  LogWriter logs_;
  HttpWorker http_;
  ListenSockets sockets_;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, APageWithEnvoysHeaders) {
  EXPECT_NE(server_->address().port(), 0);
  Client client(&loop_, server_->address());
  client.Send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  const std::string& reply = client.Until("0\r\n\r\n");
  EXPECT_THAT(
      reply,
      StartsWith(
          "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=UTF-8\r\n"
          "cache-control: no-cache, max-age=0\r\nx-content-type-options: nosniff\r\ndate: "));
  EXPECT_THAT(
      reply,
      HasSubstr("server: envoy\r\ntransfer-encoding: chunked\r\n\r\n5\r\nLIVE\n\r\n0\r\n\r\n"));
  EXPECT_EQ(state_.stats_.Value("listener.admin.downstream_cx_active"), 1u);
  EXPECT_EQ(state_.stats_.Value("listener.admin.main_thread.downstream_cx_total"), 1u);
  EXPECT_EQ(state_.stats_.Value("http.admin.downstream_rq_2xx"), 1u);
}

TEST_F(AdminServerTest, AConnectionServesManyRequestsAndPipelinedOnesInOrder) {
  Client client(&loop_, server_->address());
  client.Send(
      "POST /healthcheck/fail HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
      "GET /nope HTTP/1.1\r\nhost: a\r\n\r\n");
  client.Until("/stats/prometheus");
  client.Until("0\r\n\r\n");
  EXPECT_THAT(client.got(), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(client.got(), HasSubstr("HTTP/1.1 404 Not Found"));
  EXPECT_THAT(state_.calls_, ::testing::ElementsAre("fail"));
}

TEST_F(AdminServerTest, AFormIsReadFromTheBody) {
  Client client(&loop_, server_->address());
  client.Send(
      "POST /runtime_modify HTTP/1.1\r\nhost: a\r\ncontent-type: "
      "application/x-www-form-urlencoded\r\n"
      "content-length: 11\r\n\r\nkey=1&b=%2F");
  client.Until("0\r\n\r\n");
  EXPECT_THAT(state_.calls_, ::testing::ElementsAre("key=1", "b=/"));
}

TEST_F(AdminServerTest, AHeadHasNoBody) {
  Client client(&loop_, server_->address());
  client.Send("HEAD /ready HTTP/1.1\r\nhost: a\r\n\r\nGET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  client.Until("LIVE");
  EXPECT_THAT(client.got(), StartsWith("HTTP/1.1 200 OK"));
  const size_t second = client.got().find("HTTP/1.1 200 OK", 1);
  ASSERT_NE(second, std::string::npos);
  EXPECT_THAT(client.got().substr(0, second), EndsWith("\r\n\r\n"));
}

TEST_F(AdminServerTest, Http10IsAskedToUpgrade) {
  Client client(&loop_, server_->address());
  client.Send("GET /ready HTTP/1.0\r\n\r\n");
  client.Until("Upgrade Required");
  EXPECT_THAT(client.got(), HasSubstr(" 426 Upgrade Required\r\n"));
}

TEST_F(AdminServerTest, ALargePageWaitsForASlowClient) {
  std::string value(1000, 'x');
  for (int i = 0; i < 20000; ++i) state_.stats_.SetText(absl::StrCat("text.", i), value);
  Client client(&loop_, server_->address());
  client.Send("GET /stats HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  // Nothing is read for a while: what is not taken stays in the page, not in the connection.
  for (int i = 0; i < 200; ++i) loop_.RunOnce(false);
  client.Until("nothing that comes");
  EXPECT_TRUE(client.closed());
  EXPECT_GT(client.got().size(), 20u * 1000 * 1000);
  EXPECT_THAT(client.got(), EndsWith("0\r\n\r\n"));
}

TEST_F(AdminServerTest, AClientThatLeavesIsForgotten) {
  {
    Client client(&loop_, server_->address());
    client.Send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
    client.Until("LIVE");
    EXPECT_EQ(server_->connections(), 1u);
  }
  for (int i = 0; i < 1000 && server_->connections() > 0; ++i) loop_.RunOnce(false);
  EXPECT_EQ(server_->connections(), 0u);
  EXPECT_EQ(state_.stats_.Value("listener.admin.downstream_cx_active"), 0u);
  EXPECT_EQ(state_.stats_.Value("listener.admin.downstream_cx_destroy"), 1u);
}

TEST_F(AdminServerTest, EndingTheServerClosesItsConnections) {
  Client client(&loop_, server_->address());
  client.Send("GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
  client.Until("LIVE");
  server_.reset();
  client.Until("nothing");
  EXPECT_TRUE(client.closed());
}

}  // namespace
}  // namespace remora::proxy
