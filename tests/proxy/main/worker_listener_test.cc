#include "proxy/main/worker_listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "filters/runtime.h"
#include "proxy/main/served_connection.h"
#include "proxy/stream/token_buckets.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/xds/parsing.h"

namespace remora::proxy {
namespace {

using ::testing::HasSubstr;
using testing::UpstreamFixture;

constexpr char kEcho[] =
    "filters: [{name: e, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]";
constexpr char kProxyProtocol[] =
    "listener_filters: [{name: pp, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}}]";

std::string Says(const std::string& text) {
  return absl::StrCat(
      "filter_chains: [{filters: [{name: d, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, response: "
      "{inline_string: ",
      text, "}}}]}]");
}

// A client's socket to the listener.
class Client {
 public:
  explicit Client(const Address& to) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    EXPECT_EQ(connect(fd_, to.sockaddr_ptr(), to.sockaddr_size()), 0);
  }
  ~Client() { Close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void Send(const std::string& bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // What is there now; ends() tells whether nothing more will come.
  void Look() {
    char buffer[256];
    for (;;) {
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got > 0) text.append(buffer, static_cast<size_t>(got));
      if (got == 0 || (got < 0 && errno == ECONNRESET)) ended = true;
      if (got <= 0) return;
    }
  }
  std::string text;
  bool ended = false;

 private:
  int fd_;
};

class WorkerListenerTest : public ::testing::Test {
 protected:
  WorkerListenerTest() {
    char name[] = "/tmp/remora_listener_XXXXXX";
    dir_ = ::mkdtemp(name);
    f_.Install();
    logs_ = std::make_unique<LogWriter>(
        &f_.loop, 10000,
        f_.stats.MainScope<FileStat>(f_.stats.Register("filesystem.", FileStatSchema())));
    http_ = std::make_unique<HttpWorker>(f_.view.get(), logs_.get());
    world_.loop = &f_.loop;
    world_.http = http_.get();
    world_.stats = f_.stats.AddSlab();
    world_.accepted = &accepted_;
    world_.server_drain = &drain_;
    world_.find_listener = [this](const Address& address) {
      return FindListener(listeners_, address);
    };
    input_.stats = &f_.stats;
    input_.logs = &log_files_;
    input_.sockets = &sockets_;
    input_.buckets = &buckets_;
    input_.process = std::make_shared<ConnectionBudget>(std::nullopt);
  }
  ~WorkerListenerTest() override {
    for (const auto& listener : listeners_) listener->CloseAll();
    f_.Turn();
    listeners_.clear();
    f_.Turn();
    http_.reset();
    logs_.reset();
    EXPECT_EQ(std::system(absl::StrCat("rm -rf ", dir_).c_str()), 0);
  }

  void Add(const std::string& name, const std::string& address, const std::string& fields) {
    xds::ParseContext context;
    const auto proto = xds::FromYaml<envoy::config::listener::v3::Listener>(
        absl::StrCat("name: ", name, "\nstat_prefix: ", name, "\naddress: {socket_address: {",
                     address, "}}\n", absl::StrReplaceAll(fields, {{"{dir}", dir_}})));
    auto config = xds::Listener::Parse(proto, context);
    ASSERT_TRUE(config.ok() && context.ok()) << context.status();
    ListenerInput input = input_;
    input.config = *config;
    auto built = BuildListener(input);
    ASSERT_TRUE(built.ok()) << built.status();
    for (const auto& group : (*built)->sockets) ASSERT_TRUE(group->Listen().ok());
    listeners_.push_back(std::make_unique<WorkerListener>(&world_, *built));
  }
  void Add(const std::string& fields) { Add("l", "address: 127.0.0.1, port_value: 0", fields); }
  Address address() const { return listeners_[0]->listener().sockets[0]->address(); }
  bool Ends(Client& client) {
    return f_.RunUntil([&] {
      client.Look();
      return client.ended;
    });
  }
  bool Hears(Client& client, const std::string& text) {
    return f_.RunUntil([&] {
      client.Look();
      return client.text == text;
    });
  }
  uint64_t Stat(const std::string& name) { return f_.Stat(absl::StrCat("listener.l.", name)); }
  std::string Log() {
    logs_->Flush();
    std::stringstream text;
    text << std::ifstream(absl::StrCat(dir_, "/l.log")).rdbuf();
    return text.str();
  }
  static std::string LogTo(const std::string& format) {
    return absl::StrCat(
        "access_log: [{name: f, typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: "
        "'{dir}/l.log', log_format: {text_format_source: {inline_string: \"",
        format, "\\n\"}}}}]\n");
  }
  void SetRuntime(const std::string& key, double value) {
    google::protobuf::Struct layer;
    (*layer.mutable_fields())[key].set_number_value(value);
    http_->set_runtime(
        std::make_shared<Runtime>(std::vector<Runtime::Layer>{Runtime::LayerFrom("l", layer)}));
  }

  UpstreamFixture f_;
  std::string dir_;
  LogFiles log_files_;
  ListenSockets sockets_{1};
  TokenBuckets buckets_;
  std::unique_ptr<LogWriter> logs_;
  std::unique_ptr<HttpWorker> http_;
  uint64_t accepted_ = 0;
  Drain drain_;
  ListenerWorld world_;
  ListenerInput input_;
  std::vector<std::unique_ptr<WorkerListener>> listeners_;
};

TEST_F(WorkerListenerTest, EveryConnectionIsLoggedAtItsEnd) {
  Add(absl::StrCat(LogTo("%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %ACCESS_LOG_TYPE%"),
                   "filter_chains: [{", kEcho, "}]"));
  Client client(address());
  client.Send("hello");
  EXPECT_TRUE(Hears(client, "hello"));
  EXPECT_EQ(Log(), "");
  EXPECT_EQ(Stat("downstream_cx_active"), 1u);
  client.Close();
  EXPECT_TRUE(f_.RunUntil([&] { return Stat("downstream_cx_destroy") == 1; }));
  EXPECT_EQ(Log(), "- 5 5 NotSet\n");
}

TEST_F(WorkerListenerTest, WhereNoChainMatchesTheLogSaysSo) {
  Add(absl::StrCat(LogTo("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"),
                   "filter_chains: [{filter_chain_match: {source_prefix_ranges: [{address_prefix: "
                   "10.0.0.0, prefix_len: 8}]}, ",
                   kEcho, "}]"));
  Client client(address());
  EXPECT_TRUE(Ends(client));
  EXPECT_EQ(Log(), "NR filter_chain_not_found\n");
  EXPECT_EQ(Stat("no_filter_chain_match"), 1u);
  EXPECT_EQ(Stat("downstream_cx_total"), 0u);
}

TEST_F(WorkerListenerTest, AChainWithoutFiltersServesNobody) {
  Add(absl::StrCat(LogTo("%DOWNSTREAM_LOCAL_CLOSE_REASON%"), "filter_chains: [{filters: []}]"));
  Client client(address());
  EXPECT_TRUE(Ends(client));
  EXPECT_EQ(Log(), "no_filters\n");
  EXPECT_EQ(Stat("downstream_cx_total"), 1u);
  EXPECT_EQ(Stat("downstream_cx_destroy"), 1u);
}

TEST_F(WorkerListenerTest, RuntimeLimitsTheConnectionsOfAListener) {
  Add(absl::StrCat("filter_chains: [{", kEcho, "}]"));
  SetRuntime("envoy.resource_limits.listener.l.connection_limit", 1);
  Client first(address());
  first.Send("a");
  EXPECT_TRUE(Hears(first, "a"));
  Client second(address());
  EXPECT_TRUE(Ends(second));
  EXPECT_EQ(Stat("downstream_cx_overflow"), 1u);
  EXPECT_EQ(Stat("downstream_cx_total"), 1u);
  first.Close();
  EXPECT_TRUE(f_.RunUntil([&] { return Stat("downstream_cx_destroy") == 1; }));
  Client third(address());
  third.Send("c");
  EXPECT_TRUE(Hears(third, "c"));
}

TEST_F(WorkerListenerTest, TheProcessHasALimitThatAListenerMayIgnore) {
  input_.process = std::make_shared<ConnectionBudget>(1);
  Add(absl::StrCat("filter_chains: [{", kEcho, "}]"));
  Client first(address());
  first.Send("a");
  EXPECT_TRUE(Hears(first, "a"));
  Client second(address());
  EXPECT_TRUE(Ends(second));
  EXPECT_EQ(Stat("downstream_global_cx_overflow"), 1u);
  Add("free", "address: 127.0.0.1, port_value: 0",
      absl::StrCat("ignore_global_conn_limit: true\nfilter_chains: [{", kEcho, "}]"));
  Client third(listeners_[1]->listener().sockets[0]->address());
  third.Send("c");
  EXPECT_TRUE(Hears(third, "c"));
}

TEST_F(WorkerListenerTest, WithoutAnOverloadManagerRuntimeLimitsTheProcess) {
  Add(absl::StrCat("filter_chains: [{", kEcho, "}]"));
  SetRuntime("overload.global_downstream_max_connections", 0);
  Client client(address());
  EXPECT_TRUE(Ends(client));
  EXPECT_EQ(Stat("downstream_global_cx_overflow"), 1u);
}

TEST_F(WorkerListenerTest, AConnectionGoesToTheListenerThatItWasMeantFor) {
  Add(absl::StrCat("use_original_dst: true\n", kProxyProtocol, "\n", Says("first")));
  Add("exact", "address: 10.0.0.1, port_value: 80",
      absl::StrCat("bind_to_port: false\n", Says("exact")));
  Add("any", "address: 0.0.0.0, port_value: 80",
      absl::StrCat("bind_to_port: false\n", Says("any")));
  for (const auto& [meant, answer] :
       {std::pair("10.0.0.1 9 80", "exact"), std::pair("10.0.0.2 9 80", "any"),
        std::pair("10.0.0.2 9 81", "first")}) {
    Client client(address());
    client.Send(absl::StrCat("PROXY TCP4 198.51.100.7 ", meant, "\r\n"));
    EXPECT_TRUE(Hears(client, answer)) << client.text;
    EXPECT_TRUE(Ends(client));
  }
  EXPECT_EQ(Stat("downstream_cx_total"), 1u);
  EXPECT_EQ(f_.Stat("listener.exact.downstream_cx_total"), 1u);
  EXPECT_EQ(f_.Stat("proxy_proto.versions.v1.found"), 3u);
  EXPECT_EQ(*listeners_[0]->listener().open, 0u);
}

TEST_F(WorkerListenerTest, APeerWithoutTheHeaderIsRefusedAndCounted) {
  Add(absl::StrCat(LogTo("%RESPONSE_FLAGS%"), kProxyProtocol, "\n", Says("x")));
  Client none(address());
  none.Send("GARBAGE AND MORE");
  EXPECT_TRUE(Ends(none));
  Client broken(address());
  broken.Send("PROXY TCP4 300.1.1.1 10.0.0.1 1 2\r\n");
  EXPECT_TRUE(Ends(broken));
  EXPECT_EQ(f_.Stat("proxy_proto.not_found_disallowed"), 1u);
  EXPECT_EQ(f_.Stat("proxy_proto.versions.v1.error"), 1u);
  EXPECT_EQ(f_.Stat("downstream_cx_proxy_proto_error"), 2u);
  EXPECT_EQ(Stat("downstream_listener_filter_error"), 0u);
  EXPECT_EQ(Log(), "-\n-\n");
}

}  // namespace
}  // namespace remora::proxy
