// envoy.filters.http.ext_proc: a processor outside sees a request and its response go by and may
// change them, over one gRPC stream for each exchange.
#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/ext_proc/v3/processing_mode.pb.h"
#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "filters/ext_proc_filter.h"
#include "filters/ext_proc_message.h"
#include "filters/makers.h"
#include "filters/metadata.h"

namespace remora {
namespace ext_proc {
namespace {

constexpr absl::string_view kMethod = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
constexpr absl::string_view kSpace = "envoy.filters.http.ext_proc";
constexpr int kTimeoutStatus = 504;
constexpr int64_t kMillisecond = 1000000;

constexpr FilterStat kStats[] = {{"streams_started"},
                                 {"stream_msgs_sent"},
                                 {"stream_msgs_received"},
                                 {"spurious_msgs_received"},
                                 {"streams_closed"},
                                 {"streams_failed"},
                                 {"failure_mode_allowed"},
                                 {"message_timeouts"},
                                 {"rejected_header_mutations"},
                                 {"override_message_timeout_received"},
                                 {"override_message_timeout_ignored"},
                                 {"clear_route_cache_ignored"},
                                 {"clear_route_cache_disabled"},
                                 {"clear_route_cache_upstream_ignored"},
                                 {"immediate_responses_sent"},
                                 {"http_not_ok_resp_received"},
                                 {"server_half_closed"}};

}  // namespace

Verdict Filter::OnHeaders(Side& side, Headers& headers, bool end) {
  side.bare = side.ended = end;
  if (done_) return Verdict::kContinue;
  if (settings_->observes) {
    if (!side.mode.headers) return Verdict::kContinue;
    side.headers = &headers;
    TellHeaders(side);
    side.headers = nullptr;
    return Verdict::kContinue;
  }
  if (!side.mode.headers) {
    // They are gone when the body changes.
    if (!end && side.mode.body != BodyMode::kNone) headers.Remove(HeaderId::kContentLength);
    return Verdict::kContinue;
  }
  side.headers = &headers;
  TellHeaders(side);
  return Verdict::kBuffer;
}

Verdict Filter::OnBody(Side& side, Body& body, bool end) {
  if (done_ || side.finished) return Verdict::kContinue;
  side.ended = end;
  if (settings_->observes) {
    if (side.mode.body == BodyMode::kStreamed) TellBody(side, body.ToString(), end, Wait::kNothing);
    return Verdict::kContinue;
  }
  if (side.dropping) {
    body.Clear();
    side.finished = end;
    return end ? Verdict::kContinue : Verdict::kBuffer;
  }
  const bool early = settings_->body_before_headers && Streams(side.mode.body);
  if (side.wait == Wait::kHeaders && !early && side.mode.body != BodyMode::kFullDuplex) {
    if (side.mode.body == BodyMode::kBuffered) return Verdict::kBuffer;
    side.kept.Append(body);
    Hold(side);
    return Verdict::kBuffer;
  }
  switch (side.mode.body) {
    case BodyMode::kNone:
      return Verdict::kContinue;
    case BodyMode::kStreamed:
    case BodyMode::kFullDuplex:
      TellPiece(side, body, end);
      return Verdict::kBuffer;
    case BodyMode::kBuffered:
      if (end) TellWhole(side, &body);
      return Verdict::kBuffer;
    case BodyMode::kBufferedPartial:
      side.kept.Append(body);
      if (side.wait == Wait::kNothing && (end || side.kept.size() > Limit(side))) {
        TellBody(side, side.kept.ToString(), end, Wait::kPart);
      } else {
        Hold(side);
      }
      return Verdict::kBuffer;
  }
  return Verdict::kContinue;
}

Verdict Filter::OnTrailers(Side& side, Headers& trailers) {
  side.trailers = &trailers;
  if (done_ || side.finished) return Verdict::kContinue;
  if (settings_->observes) {
    if (side.mode.trailers) TellTrailers(side);
    return Verdict::kContinue;
  }
  if (side.dropping) return Verdict::kContinue;
  if (side.mode.body == BodyMode::kFullDuplex && side.wait != Wait::kHeaders) {
    TellTrailers(side);
    return Verdict::kBuffer;
  }
  if (side.wait != Wait::kNothing) return Verdict::kBuffer;
  if (side.mode.body == BodyMode::kBuffered && !side.ended) {
    TellWhole(side, nullptr);
    return Verdict::kBuffer;
  }
  if (side.mode.body == BodyMode::kBufferedPartial && !side.ended && !side.kept.empty()) {
    TellBody(side, side.kept.ToString(), false, Wait::kPart);
    return Verdict::kBuffer;
  }
  if (!side.mode.trailers) {
    Finish(side);
    return Verdict::kContinue;
  }
  TellTrailers(side);
  return Verdict::kBuffer;
}

void Filter::OpenStream() {
  if (std::exchange(opened_, true)) return;
  context_->Count(kStreamsStarted);
  const GrpcServiceTarget& target =
      route_ != nullptr && route_->service ? *route_->service : settings_->service;
  GrpcCall call = target.Call(*context_, kMethod);
  call.timeout_ms = 0;  // each message has its own
  if (route_ != nullptr) {
    call.metadata.insert(call.metadata.end(), route_->initial_metadata.begin(),
                         route_->initial_metadata.end());
  }
  stream_ = context_->OpenGrpc(call, this);
}

void Filter::Close() {
  if (stream_ == nullptr) return;
  stream_->CloseSend();
  stream_.reset();
  context_->Count(kStreamsClosed);
}

void Filter::Tell(pb::ProcessingRequest& request) {
  OpenStream();
  if (stream_ == nullptr) return;
  if (!std::exchange(told_config_, true)) {
    const auto number = [](BodyMode mode) {
      return static_cast<
          envoy::extensions::filters::http::ext_proc::v3::ProcessingMode::BodySendMode>(mode);
    };
    auto* config = request.mutable_protocol_config();
    config->set_request_body_mode(number(request_.mode.body));
    config->set_response_body_mode(number(response_.mode.body));
    config->set_send_body_without_waiting_for_header_response(settings_->body_before_headers);
  }
  request.set_observability_mode(settings_->observes);
  const auto& names = route_ != nullptr && route_->forwarded_metadata
                          ? *route_->forwarded_metadata
                          : settings_->forwarded_metadata;
  ext_proc::FillMetadata(&context_->dynamic_metadata(), names, request.mutable_metadata_context());
  const bool of_request =
      request.has_request_headers() || request.has_request_body() || request.has_request_trailers();
  const auto& attributes =
      of_request
          ? (route_ != nullptr && route_->request_attributes ? *route_->request_attributes
                                                             : settings_->request_attributes)
          : (route_ != nullptr && route_->response_attributes ? *route_->response_attributes
                                                              : settings_->response_attributes);
  const bool headers = request.has_request_headers() || request.has_response_headers();
  if (headers && !attributes.empty()) {
    ext_proc::FillAttributes(attributes, *context_,
                             &(*request.mutable_attributes())[std::string(kSpace)]);
  }
  context_->Count(kMessagesSent);
  stream_->Send(request.SerializeAsString());
}

void Filter::TellHeaders(Side& side) {
  pb::ProcessingRequest request;
  auto* headers =
      side.request ? request.mutable_request_headers() : request.mutable_response_headers();
  ext_proc::FillHeaders(*side.headers, settings_->forwarded, settings_->withheld,
                        headers->mutable_headers());
  headers->set_end_of_stream(side.bare);
  Await(side, Wait::kHeaders);
  Tell(request);
}

void Filter::TellBody(Side& side, std::string bytes, bool end, Wait wait) {
  pb::ProcessingRequest request;
  auto* body = side.request ? request.mutable_request_body() : request.mutable_response_body();
  body->set_body(std::move(bytes));
  body->set_end_of_stream(end);
  if (wait != Wait::kNothing) Await(side, wait);
  Tell(request);
}

void Filter::TellPiece(Side& side, Body& body, bool end) {
  const bool waits_for_headers = side.wait == Wait::kHeaders;
  std::string bytes = body.ToString();
  if (side.mode.body == BodyMode::kStreamed) {
    side.told.push_back({std::move(body), end});
    Hold(side);
  }
  body.Clear();
  const int64_t deadline = side.deadline_ns;
  TellBody(side, std::move(bytes), end, waits_for_headers ? Wait::kNothing : Wait::kPieces);
  // A duplex processor takes the time it takes; others have to answer the first piece in time.
  if (side.mode.body == BodyMode::kFullDuplex) side.deadline_ns = waits_for_headers ? deadline : 0;
  if (side.told.size() > 1 && deadline != 0) side.deadline_ns = deadline;
}

// All of a body that the chain keeps, and the piece that is not there yet.
void Filter::TellWhole(Side& side, const Body* last) {
  std::string bytes = Buffer(side).ToString();
  if (last != nullptr) bytes += last->ToString();
  TellBody(side, std::move(bytes), side.trailers == nullptr, Wait::kWholeBody);
}

void Filter::TellTrailers(Side& side) {
  pb::ProcessingRequest request;
  auto* trailers =
      side.request ? request.mutable_request_trailers() : request.mutable_response_trailers();
  ext_proc::FillHeaders(*side.trailers, settings_->forwarded, settings_->withheld,
                        trailers->mutable_trailers());
  const bool pieces = side.mode.body == BodyMode::kFullDuplex;
  if (!settings_->observes) Await(side, pieces ? Wait::kPieces : Wait::kTrailers);
  if (pieces) side.deadline_ns = 0;
  Tell(request);
}

void Filter::Await(Side& side, Wait wait) {
  if (settings_->observes) return;
  side.wait = wait;
  side.deadline_ns = context_->now_ns() + settings_->timeout_ms * kMillisecond;
  Schedule();
}

void Filter::Schedule() {
  int64_t next = std::numeric_limits<int64_t>::max();
  for (const Side* side : {&request_, &response_}) {
    if (side->deadline_ns != 0) next = std::min(next, side->deadline_ns);
  }
  if (next == std::numeric_limits<int64_t>::max()) {
    context_->StopTimer();
  } else {
    context_->StartTimer(std::max<int64_t>(next - context_->now_ns(), 0));
  }
}

void Filter::OnTimer() {
  for (Side* side : {&request_, &response_}) {
    if (side->deadline_ns == 0 || side->deadline_ns > context_->now_ns()) continue;
    context_->Count(kTimeouts);
    Fail("ext_proc_error_per-message_timeout_exceeded", kTimeoutStatus);
    return;
  }
  Schedule();
}

}  // namespace ext_proc

namespace {

using ext_proc::RouteSettings;
using ext_proc::Settings;

class ExtProcFactory final : public FilterFactory {
 public:
  explicit ExtProcFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(ext_proc::Filter), alignof(ext_proc::Filter)))
        ext_proc::Filter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return ext_proc::kStats; }
  absl::string_view stat_prefix() const override { return settings_->stat_prefix; }

 private:
  std::shared_ptr<const Settings> settings_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ext_proc::ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<ExtProcFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const RouteSettings>> settings =
      ext_proc::ParseRouteSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType ExtProcFilterType() {
  return {"envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor", &Make,
          "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", &ParseRoute};
}

}  // namespace remora
