#include "tests/support/filters/filter_harness.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace remora::testing {

namespace {

class Pending final : public SideCall {
 public:
  explicit Pending(FilterHarness* harness) : harness_(harness) {}
  ~Pending() override { harness_->http_done = nullptr, harness_->grpc_done = nullptr; }

 private:
  FilterHarness* harness_;
};

class OpenStream final : public SideStream {
 public:
  explicit OpenStream(FilterHarness* harness) : harness_(harness) {}
  ~OpenStream() override { harness_->stream_events = nullptr; }
  void Send(absl::string_view message) override { harness_->stream_sent.emplace_back(message); }
  void CloseSend() override { harness_->stream_closed = true; }

 private:
  FilterHarness* harness_;
};

}  // namespace

std::unique_ptr<SideStream> FilterHarness::OpenGrpc(const GrpcCall& call,
                                                    SideStreamEvents* events) {
  call_cluster = std::string(call.cluster);
  call_method = std::string(call.method);
  stream_events = events;
  return std::make_unique<OpenStream>(this);
}

std::unique_ptr<SideCall> FilterHarness::CallHttp(const HttpCall& call, HttpCallDone done) {
  call_headers = call.headers->CopyTo(&arena_);
  call_cluster = std::string(call.cluster);
  call_body = call.body == nullptr ? "" : call.body->ToString();
  call_timeout_ms = call.timeout_ms;
  http_done = std::move(done);
  return std::make_unique<Pending>(this);
}

std::unique_ptr<SideCall> FilterHarness::CallGrpc(const GrpcCall& call, GrpcCallDone done) {
  call_cluster = std::string(call.cluster);
  call_method = std::string(call.method);
  call_body = std::string(call.request);
  call_timeout_ms = call.timeout_ms;
  grpc_done = std::move(done);
  return std::make_unique<Pending>(this);
}

FilterHarness::FilterHarness(absl::string_view type, absl::string_view config) {
  auto made = MakeHttpFilter("under test", type, config);
  EXPECT_TRUE(made.ok()) << made.status();
  if (!made.ok()) return;
  factory = *made;
  filter = factory->Create(arena_);
  filter->Attach(this);
  info_.request_headers = &request;
  info_.dynamic_metadata = &metadata;
  info_.response_headers = &response;
  request.set_pseudo(HeaderId::kMethod, "GET");
  request.set_pseudo(HeaderId::kPath, "/");
  response.set_status(200);
}

FilterHarness::~FilterHarness() {
  if (filter == nullptr) return;
  filter->OnEnd();
  factory->Destroy(filter);
}

void FilterHarness::AddRouteConfig(absl::string_view type, absl::string_view config) {
  auto parsed = ParseRouteFilterConfig("under test", type, config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  if (parsed.ok()) route_configs_.push_back(*parsed);
}

Verdict FilterHarness::RequestBody(absl::string_view text, bool end) {
  Body body;
  body.Append(text);
  return filter->OnRequestBody(body, end);
}

std::string FilterHarness::Value(const Headers& headers, absl::string_view name) const {
  return std::string(headers.GetJoined(name).value_or("(none)"));
}

uint64_t FilterHarness::Stat(absl::string_view name) const {
  const absl::Span<const FilterStat> stats = factory->stats();
  for (uint32_t i = 0; i < stats.size(); ++i) {
    if (stats[i].name != name) continue;
    const auto found = counts_.find(i);
    return found == counts_.end() ? 0 : static_cast<uint64_t>(found->second);
  }
  ADD_FAILURE() << "no statistic " << name;
  return 0;
}

const void* FilterHarness::route_config() const {
  return route_configs_.empty() ? nullptr : route_configs_.back().get();
}

size_t FilterHarness::route_configs(const void** out, size_t most) const {
  const size_t count = std::min(most, route_configs_.size());
  for (size_t i = 0; i < count; ++i) out[i] = route_configs_[i].get();
  return count;
}

void FilterHarness::Reply(const LocalReply& reply) {
  ++replies;
  reply_status = reply.status;
  reply_grpc = reply.grpc_status;
  reply_body = std::string(reply.body);
  reply_details = std::string(reply.details);
  if (reply.edit) reply.edit(response);
}

}  // namespace remora::testing
