#ifndef REMORA_TESTS_PROXY_STREAM_ROUTER_FIXTURE_H_
#define REMORA_TESTS_PROXY_STREAM_ROUTER_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "filters/api/arena.h"
#include "proxy/stream/router.h"
#include "proxy/upstream/worker_view.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/codec_fakes.h"
#include "tests/support/codec_peer.h"
#include "tests/support/upstream_fixture.h"
#include "xds/route.h"

namespace remora::proxy {

using testing::CodecPeer;
using testing::FarEnd;
using testing::UpstreamFixture;

// A stream that writes down what its router says.
class FakeHost final : public RouterHost {
 public:
  explicit FakeHost(UpstreamFixture* f) : f_(f) {}

  Loop& loop() override { return f_->loop; }
  WorkerView& view() override { return *f_->view; }
  Arena& arena() override { return arena_; }
  StreamInfo& info() override { return info_; }
  uint64_t random() override { return random_value; }
  const xds::RouteTable& route_table() override { return table_; }
  const xds::VirtualHost& virtual_host() override { return host_config; }
  const xds::Route& route() override { return route_config; }
  void MutateRequestHeaders(Headers&, const xds::WeightedCluster* weighted) override {
    chosen = weighted;
  }
  void MutateResponseHeaders(Headers&, const xds::WeightedCluster*) override { ++mutated; }
  uint64_t retry_buffer_limit() override { return buffer_limit; }
  bool internal_request() override { return false; }
  void SetIdleTimeout(int64_t ns) override { idle_ns = ns; }

  void OnUpstreamInterim(Headers* headers) override { interims.push_back(headers->status()); }
  void OnUpstreamHeaders(Headers* headers, bool end) override {
    status = headers->status();
    if (!quiet) text = FieldsText(*headers);
    ends += end;
  }
  void OnUpstreamBody(Body& bytes, bool end) override {
    if (!quiet) body += bytes.ToString();
    bytes.Clear();
    ends += end;
  }
  void OnUpstreamTrailers(Headers* trailers) override {
    trailers_text = FieldsText(*trailers);
    ++ends;
  }
  void OnRouterReply(const LocalReply& reply) override {
    Headers headers(&arena_);
    if (reply.edit) reply.edit(headers);
    text = FieldsText(headers);
    status = reply.status;
    body = std::string(reply.body);
    details = std::string(reply.details);
    ++replies;
  }
  void OnUpstreamAborted(absl::string_view why) override {
    ++aborts;
    details = std::string(why);
  }
  void PauseRequest() override { ++paused; }
  void ResumeRequest() override { --paused; }

  xds::VirtualHost host_config;
  xds::Route route_config;
  uint64_t random_value = 0;
  bool quiet = false;  // texts are not kept
  uint64_t buffer_limit = 1024;
  const xds::WeightedCluster* chosen = nullptr;
  int status = 0, ends = 0, replies = 0, aborts = 0, paused = 0, mutated = 0;
  int64_t idle_ns = -1;
  std::vector<int> interims;
  std::string text, body, trailers_text, details;

 private:
  UpstreamFixture* f_;
  Arena arena_;
  StreamInfo info_;
  xds::RouteTable table_;
};

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    action().cluster = "a";
    Cluster(nullptr);
  }
  ~RouterTest() override {
    router_->Cancel();
    f_.Turn();
  }

  xds::ForwardAction& action() { return std::get<xds::ForwardAction>(host_.route_config.action); }
  void Cluster(const UpstreamFixture::Edit& edit, size_t hosts = 1) {
    f_.AddCluster("a", hosts, edit);
    f_.Install();
  }
  void Http2() {
    Cluster([](xds::Cluster& c) { c.http.protocol = xds::UpstreamHttpOptions::Protocol::kHttp2; });
  }
  void Retry(uint32_t on, uint32_t tries = 1) {
    action().retry.emplace();
    action().retry->retry_on = on;
    action().retry->num_retries = tries;
    action().retry->backoff_base = absl::Milliseconds(1);
  }
  Headers* Request(absl::string_view method = "GET",
                   std::vector<std::pair<std::string, std::string>> fields = {}) {
    Arena& arena = host_.arena();
    auto* headers = arena.New<Headers>(&arena);
    headers->set_pseudo(HeaderId::kMethod, method);
    headers->set_pseudo(HeaderId::kPath, "/p");
    headers->set_pseudo(HeaderId::kAuthority, "h.test");
    for (const auto& [name, value] : fields) headers->Add(name, value);
    return headers;
  }
  void Get(std::vector<std::pair<std::string, std::string>> fields = {}) {
    router_->OnRequestHeaders(&host_, Request("GET", std::move(fields)), true, false);
    f_.Turn();
  }
  void Send(absl::string_view text, bool end) {
    Body body = BodyOf(text);
    router_->OnRequestBody(body, end);
    f_.Turn();
  }
  FarEnd& far(size_t i = 0) { return *f_.dialer.dialled.at(i).far; }
  size_t dialled() const { return f_.dialer.dialled.size(); }
  void Answer(size_t i, absl::string_view bytes) {
    far(i).Send(bytes);
    f_.Turn();
  }
  uint64_t Stat(const std::string& name) { return f_.Stat("cluster.a." + name); }
  lb::HostState& HostState() { return f_.cluster("a")->policy->hosts().entry(0).host->state(); }

  UpstreamFixture f_;
  FakeHost host_{&f_};
  std::unique_ptr<Router> router_ = Router::Create();
};

constexpr absl::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
constexpr absl::string_view k503 = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";

}  // namespace remora::proxy

#endif  // REMORA_TESTS_PROXY_STREAM_ROUTER_FIXTURE_H_
