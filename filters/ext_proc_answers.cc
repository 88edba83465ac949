// What becomes of the answers of an external processor.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "filters/ext_proc_filter.h"
#include "filters/metadata.h"

namespace remora::ext_proc {
namespace {

using Kind = pb::ProcessingResponse::ResponseCase;
constexpr int64_t kMillisecond = 1000000;

}  // namespace

void Filter::OnSideClosed(int status, absl::string_view message) {
  stream_.reset();
  if (status == 0) {
    context_->Count(kStreamsClosed);
    context_->Count(kHalfClosed);
    if (!done_) LetAllGo();
    return;
  }
  context_->Count(kStreamsFailed);
  if (done_ || settings_->observes) return;
  std::string details =
      absl::StrCat("ext_proc_error_gRPC_error_", status, "{", message, "{via_upstream}}");
  Fail(absl::StrReplaceAll(details, {{" ", "_"}}), settings_->error_status);
}

void Filter::OnSideMessage(absl::string_view message) {
  pb::ProcessingResponse response;
  if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) return Spurious();
  context_->Count(kMessagesReceived);
  if (done_ || settings_->observes) return;
  if (OnOverrideTimeout(response)) return;
  if (response.has_dynamic_metadata()) TakeMetadata(response.dynamic_metadata());
  switch (response.response_case()) {
    case Kind::kRequestHeaders:
    case Kind::kResponseHeaders: {
      const bool request = response.has_request_headers();
      Side& side = request ? request_ : response_;
      if (side.wait != Wait::kHeaders) return Spurious();
      TakeModes(response);
      return OnHeadersAnswer(side, request ? response.request_headers().response()
                                           : response.response_headers().response());
    }
    case Kind::kRequestBody:
      return OnBodyAnswer(request_, response.request_body().response());
    case Kind::kResponseBody:
      return OnBodyAnswer(response_, response.response_body().response());
    case Kind::kRequestTrailers:
      return OnTrailersAnswer(request_, response.request_trailers().header_mutation());
    case Kind::kResponseTrailers:
      return OnTrailersAnswer(response_, response.response_trailers().header_mutation());
    case Kind::kImmediateResponse:
      if (settings_->immediate_disabled) return Spurious();
      return OnImmediate(response.immediate_response());
    default:
      return Spurious();
  }
}

// True when the message was nothing but a wish for more time.
bool Filter::OnOverrideTimeout(const pb::ProcessingResponse& response) {
  if (!response.has_override_message_timeout()) return false;
  const auto& wish = response.override_message_timeout();
  const int64_t ms = wish.seconds() * 1000 + wish.nanos() / kMillisecond;
  Side* side = nullptr;
  for (Side* one : {&request_, &response_}) {
    if (one->deadline_ns != 0) side = one;
  }
  if (side == nullptr || timeout_overridden_ || ms < 1 || ms > settings_->most_timeout_ms) {
    context_->Count(kOverrideIgnored);
    return true;
  }
  timeout_overridden_ = true;
  context_->Count(kOverrideReceived);
  side->deadline_ns = context_->now_ns() + ms * kMillisecond;
  Schedule();
  return true;
}

void Filter::TakeMetadata(const google::protobuf::Struct& fields) {
  const auto& allowed = route_ != nullptr && route_->received_metadata
                            ? *route_->received_metadata
                            : settings_->received_metadata;
  for (const auto& [name, value] : fields.fields()) {
    if (!value.has_struct_value() || !absl::c_linear_search(allowed, name)) continue;
    MetadataValue& into = context_->dynamic_metadata().namespaces[name];
    if (into.mutable_fields() == nullptr) into = MetadataValue(MetadataValue::Fields());
    const MetadataValue noted = MetadataValue::From(value.struct_value());
    for (const auto& [key, member] : *noted.fields()) (*into.mutable_fields())[key] = member;
  }
}

// Only what is still to come can be changed.
void Filter::TakeModes(const pb::ProcessingResponse& response) {
  if (!settings_->mode_override || !response.has_mode_override()) return;
  const absl::StatusOr<Modes> modes = Modes::Parse(response.mode_override());
  if (!modes.ok()) return;
  if (!settings_->overrides_allowed.empty()) {
    Modes asked = *modes;
    const bool allowed = absl::c_any_of(settings_->overrides_allowed, [&](const Modes& one) {
      asked.request.headers = one.request.headers;
      return asked == one;
    });
    if (!allowed) return;
  }
  if (response.has_request_headers()) {
    request_.mode.body = modes->request.body;
    request_.mode.trailers = modes->request.trailers;
    response_.mode = modes->response;
  } else {
    response_.mode.body = modes->response.body;
    response_.mode.trailers = modes->response.trailers;
  }
}

// False when the answer was an error and the exchange is over.
bool Filter::Mutate(Side&, const pb::HeaderMutation& mutation, Headers* headers) {
  if (headers == nullptr) return true;
  const uint64_t refused = ext_proc::ApplyMutation(mutation, settings_->rules, *headers);
  if (refused == 0) return true;
  context_->Count(kRejectedMutations, static_cast<int64_t>(refused));
  if (!settings_->rules.disallow_is_error) return true;
  Fail("ext_proc_error_invalid_header_mutation", settings_->error_status);
  return false;
}

void Filter::ClearRoute(const pb::CommonResponse& answer) {
  using RouteCache = Settings::RouteCache;
  if (settings_->route_cache == RouteCache::kRetain) {
    if (answer.clear_route_cache()) context_->Count(kClearDisabled);
    return;
  }
  const bool changes = answer.has_header_mutation();
  if (!changes) {
    if (answer.clear_route_cache()) context_->Count(kClearIgnored);
    return;
  }
  if (answer.clear_route_cache() || settings_->route_cache == RouteCache::kClear) {
    context_->ClearRoute();
  }
}

void Filter::OnHeadersAnswer(Side& side, const pb::CommonResponse& answer) {
  side.wait = Wait::kNothing;
  side.deadline_ns = 0;
  Schedule();
  if (!Mutate(side, answer.header_mutation(), side.headers)) return;
  if (side.request) ClearRoute(answer);
  if (answer.status() == pb::CommonResponse::CONTINUE_AND_REPLACE) return Replace(side, answer);
  if (Streams(side.mode.body) || side.mode.body == BodyMode::kBufferedPartial) {
    side.headers->Remove(HeaderId::kContentLength);
  }
  GoOn(side);
}

// The processor has the headers behind it: on with the body.
void Filter::GoOn(Side& side) {
  if (side.bare) return Finish(side);
  const bool whole = side.ended || side.trailers != nullptr;
  Body nothing;
  switch (side.mode.body) {
    case BodyMode::kNone:
      Buffer(side).Append(side.kept);
      Hold(side);
      if (side.trailers != nullptr && side.mode.trailers) return TellTrailers(side);
      if (whole || !side.mode.trailers) return Finish(side);
      side.headers = nullptr;
      side.request ? context_->ResumeRequest() : context_->ResumeResponse();
      return;
    case BodyMode::kStreamed: {
      Inject(side, nothing);
      if (over_ || done_) return;
      if (!side.told.empty()) return AwaitMore(side);
      if (!side.kept.empty() || side.ended) {
        Body kept;
        kept.Swap(side.kept);
        TellPiece(side, kept, side.ended);
      } else if (side.trailers != nullptr) {
        FinishBody(side);
      }
      return;
    }
    case BodyMode::kFullDuplex:
      Inject(side, nothing);
      if (over_ || done_) return;
      if (whole) side.wait = Wait::kPieces;
      if (side.trailers != nullptr) TellTrailers(side);
      return;
    case BodyMode::kBuffered:
      // What came before the mode was changed.
      Buffer(side).Append(side.kept);
      Hold(side);
      if (whole) TellWhole(side, nullptr);
      return;
    case BodyMode::kBufferedPartial:
      if (whole || side.kept.size() > Limit(side)) {
        TellBody(side, side.kept.ToString(), side.ended, Wait::kPart);
      }
      return;
  }
}

// A new body in place of whatever there is or comes.
void Filter::Replace(Side& side, const pb::CommonResponse& answer) {
  side.headers->Remove(HeaderId::kContentLength);
  side.kept.Clear();
  Buffer(side).Clear();
  Body body;
  body.Append(answer.body_mutation().body());
  const bool whole = side.ended || side.trailers != nullptr;
  side.dropping = !whole;
  side.bare = false;
  Inject(side, body);
  if (over_ || done_) return;
  if (whole) Finish(side);
}

// A length that was told has to be that of the new body.
bool Filter::FitsLength(Side& side, uint64_t size) {
  if (side.headers == nullptr) return true;
  const std::optional<absl::string_view> text = side.headers->Get(HeaderId::kContentLength);
  uint64_t length = 0;
  if (!text || (absl::SimpleAtoi(*text, &length) && length == size)) return true;
  Fail("mismatch_between_content_length_and_the_length_of_the_mutated_body",
       settings_->error_status);
  return false;
}

void Filter::OnBodyAnswer(Side& side, const pb::CommonResponse& answer) {
  if (side.mode.body == BodyMode::kFullDuplex) return OnDuplexAnswer(side, answer);
  if (side.wait == Wait::kPieces) return OnPieceAnswer(side, answer);
  if (side.wait != Wait::kWholeBody && side.wait != Wait::kPart) return Spurious();
  Body& body = side.wait == Wait::kPart ? side.kept : Buffer(side);
  const auto& mutation = answer.body_mutation();
  if (!Mutate(side, answer.header_mutation(), side.headers)) return;
  const bool replaces = mutation.mutation_case() == pb::BodyMutation::kBody;
  if (replaces || mutation.clear_body()) {
    const bool checked = side.wait == Wait::kWholeBody;
    if (checked && !FitsLength(side, mutation.body().size())) return;
    body.Clear();
    body.Append(mutation.body());
  }
  if (side.request) ClearRoute(answer);
  const bool part = side.wait == Wait::kPart;
  side.wait = Wait::kNothing;
  side.deadline_ns = 0;
  Schedule();
  if (!part) return FinishBody(side);
  Buffer(side).Append(side.kept);
  Hold(side);
  // What comes after the part goes by.
  side.mode.body = BodyMode::kNone;
  if (side.ended || side.trailers != nullptr) return FinishBody(side);
  side.headers = nullptr;
  side.request ? context_->ResumeRequest() : context_->ResumeResponse();
}

void Filter::AwaitMore(Side& side) {
  if (side.told.empty()) {
    side.wait = Wait::kNothing;
    side.deadline_ns = 0;
    Schedule();
  } else {
    Await(side, Wait::kPieces);
  }
}

void Filter::OnPieceAnswer(Side& side, const pb::CommonResponse& answer) {
  if (side.told.empty()) return Spurious();
  Side::Piece piece = std::move(side.told.front());
  side.told.pop_front();
  const auto& mutation = answer.body_mutation();
  if (mutation.mutation_case() == pb::BodyMutation::kBody || mutation.clear_body()) {
    piece.body.Clear();
    piece.body.Append(mutation.body());
  }
  AwaitMore(side);
  Hold(side);
  if (!piece.body.empty()) Inject(side, piece.body);
  if (over_ || done_) return;
  const bool last = piece.end || (side.told.empty() && side.trailers != nullptr);
  if (last) FinishBody(side);
}

void Filter::OnDuplexAnswer(Side& side, const pb::CommonResponse& answer) {
  const auto& streamed = answer.body_mutation().streamed_response();
  if (side.wait == Wait::kHeaders || side.finished) return Spurious();
  Body body;
  body.Append(streamed.body());
  if (!body.empty()) Inject(side, body);
  if (over_ || done_) return;
  if (streamed.end_of_stream()) Finish(side);
}

void Filter::OnTrailersAnswer(Side& side, const pb::HeaderMutation& mutation) {
  const bool duplex = side.mode.body == BodyMode::kFullDuplex && side.trailers != nullptr;
  if (side.wait != Wait::kTrailers && !duplex) return Spurious();
  if (!Mutate(side, mutation, side.trailers)) return;
  Finish(side);
}

void Filter::FinishBody(Side& side) {
  if (side.trailers != nullptr && side.mode.trailers) return TellTrailers(side);
  Finish(side);
}

void Filter::Finish(Side& side) {
  side.finished = true;
  side.headers = nullptr;
  side.wait = Wait::kNothing;
  side.deadline_ns = 0;
  Schedule();
  Hold(side);
  side.request ? context_->ResumeRequest() : context_->ResumeResponse();
}

// As it came, in the order in which it came.
void Filter::LetGo(Side& side) {
  if (side.finished) return;
  Body all;
  for (Side::Piece& piece : side.told) all.Append(piece.body);
  side.told.clear();
  all.Append(side.kept);
  if (!all.empty()) Inject(side, all);
  if (!over_) Finish(side);
}

void Filter::LetAllGo() {
  done_ = true;
  LetGo(request_);
  if (!over_) LetGo(response_);
}

void Filter::Spurious() {
  context_->Count(kSpurious);
  Fail("spurious_message", settings_->error_status);
}

void Filter::Fail(absl::string_view details, int status) {
  if (done_) return;
  done_ = true;
  Close();
  const bool allowed = route_ != nullptr && route_->failure_allowed ? *route_->failure_allowed
                                                                    : settings_->failure_allowed;
  if (allowed) {
    context_->Count(kFailureAllowed);
    return LetAllGo();
  }
  replied_ = true;
  context_->StopTimer();
  context_->Count(kImmediateSent);
  LocalReply reply;
  reply.status = status;
  reply.details = context_->arena().Copy(details);
  context_->Reply(reply);
}

void Filter::OnImmediate(const pb::ImmediateResponse& answer) {
  done_ = replied_ = true;
  context_->StopTimer();
  context_->Count(kImmediateSent);
  LocalReply reply;
  reply.status = answer.status().code() == 0 ? 200 : static_cast<int>(answer.status().code());
  reply.body = context_->arena().Copy(answer.body());
  reply.details = context_->arena().Copy(absl::StrReplaceAll(answer.details(), {{" ", "_"}}));
  if (answer.has_grpc_status()) reply.grpc_status = static_cast<int>(answer.grpc_status().status());
  reply.edit = [this, &answer](Headers& headers) {
    const uint64_t refused = ext_proc::ApplyMutation(answer.headers(), settings_->rules, headers);
    if (refused != 0) context_->Count(kRejectedMutations, static_cast<int64_t>(refused));
  };
  Close();
  context_->Reply(reply);
}

}  // namespace remora::ext_proc
