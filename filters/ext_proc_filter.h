#ifndef REMORA_FILTERS_EXT_PROC_FILTER_H_
#define REMORA_FILTERS_EXT_PROC_FILTER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/filter.h"
#include "filters/ext_proc_config.h"

namespace envoy::service::ext_proc::v3 {
class CommonResponse;
class HeaderMutation;
class ImmediateResponse;
class ProcessingRequest;
class ProcessingResponse;
}  // namespace envoy::service::ext_proc::v3
namespace google::protobuf {
class Struct;
}

namespace remora::ext_proc {

namespace pb = envoy::service::ext_proc::v3;

// What the filter counts.
enum Stat : uint32_t {
  kStreamsStarted,
  kMessagesSent,
  kMessagesReceived,
  kSpurious,
  kStreamsClosed,
  kStreamsFailed,
  kFailureAllowed,
  kTimeouts,
  kRejectedMutations,
  kOverrideReceived,
  kOverrideIgnored,
  kClearIgnored,
  kClearDisabled,
  kClearUpstreamIgnored,
  kImmediateSent,
  kHttpNotOk,
  kHalfClosed,
};
// One direction of the exchange.
struct Side {
  enum class Wait : uint8_t { kNothing, kHeaders, kWholeBody, kPart, kPieces, kTrailers };
  struct Piece {
    Body body;
    bool end = false;
  };

  explicit Side(bool is_request) : request(is_request) {}

  bool request;
  Mode mode;
  Wait wait = Wait::kNothing;  // what the processor is to answer
  Headers* headers = nullptr;  // null: they went on
  Headers* trailers = nullptr;
  bool bare = false;       // headers alone
  bool ended = false;      // the end of the body was seen
  bool finished = false;   // the processor has no say any more
  bool dropping = false;   // the body was replaced: what comes of it is nothing
  Body kept;               // seen, not told yet (or told and not to be passed on before the answer)
  std::deque<Piece> told;  // pieces told one by one, whose answers are awaited
  int64_t deadline_ns = 0;  // 0: none
};
// One exchange and its processor. What the processor is told is in ext_proc.cc, what becomes of its
// answers in ext_proc_answers.cc.
//
// A message waits with kBuffer until the processor has answered: whole bodies in the chain, of
// which the limits hold, pieces here, with back-pressure.
//
// Threads and lifetime: a filter's.
class Filter final : public HttpFilter, private SideStreamEvents {
 public:
  explicit Filter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override {
    route_ = static_cast<const RouteSettings*>(context_->route_config());
    const Modes& modes = route_ != nullptr && route_->modes ? *route_->modes : settings_->modes;
    request_.mode = modes.request;
    response_.mode = modes.response;
    done_ = route_ != nullptr && route_->disabled;
    return OnHeaders(request_, headers, end);
  }
  Verdict OnRequestBody(Body& body, bool end) override { return OnBody(request_, body, end); }
  Verdict OnRequestTrailers(Headers& trailers) override { return OnTrailers(request_, trailers); }
  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    return replied_ ? Verdict::kContinue : OnHeaders(response_, headers, end);
  }
  Verdict OnResponseBody(Body& body, bool end) override {
    return replied_ ? Verdict::kContinue : OnBody(response_, body, end);
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    return replied_ ? Verdict::kContinue : OnTrailers(response_, trailers);
  }
  void OnTimer() override;
  void OnEnd() override {
    over_ = true;
    Close();
  }

 private:
  // SideStreamEvents
  void OnSideMessage(absl::string_view message) override;
  void OnSideClosed(int status, absl::string_view message) override;

  using Wait = Side::Wait;

  Verdict OnHeaders(Side& side, Headers& headers, bool end);
  Verdict OnBody(Side& side, Body& body, bool end);
  Verdict OnTrailers(Side& side, Headers& trailers);

  // To the processor.
  void OpenStream();
  void Close();
  void Tell(pb::ProcessingRequest& request);
  void TellHeaders(Side& side);
  void TellBody(Side& side, std::string bytes, bool end, Wait wait);
  void TellPiece(Side& side, Body& body, bool end);
  void TellWhole(Side& side, const Body* last);
  void TellTrailers(Side& side);
  void Await(Side& side, Wait wait);
  void AwaitMore(Side& side);
  void Schedule();

  // From the processor.
  void OnHeadersAnswer(Side& side, const pb::CommonResponse& answer);
  void OnBodyAnswer(Side& side, const pb::CommonResponse& answer);
  void OnPieceAnswer(Side& side, const pb::CommonResponse& answer);
  void OnDuplexAnswer(Side& side, const pb::CommonResponse& answer);
  void OnTrailersAnswer(Side& side, const pb::HeaderMutation& mutation);
  void OnImmediate(const pb::ImmediateResponse& answer);
  bool OnOverrideTimeout(const pb::ProcessingResponse& response);
  void TakeMetadata(const google::protobuf::Struct& fields);
  void TakeModes(const pb::ProcessingResponse& response);
  bool Mutate(Side& side, const pb::HeaderMutation& mutation, Headers* headers);
  bool FitsLength(Side& side, uint64_t size);
  void ClearRoute(const pb::CommonResponse& answer);
  void Replace(Side& side, const pb::CommonResponse& answer);

  // Onward.
  void GoOn(Side& side);
  void FinishBody(Side& side);
  void Finish(Side& side);
  void LetGo(Side& side);
  void LetAllGo();
  void Fail(absl::string_view details, int status);
  void Spurious();
  void Inject(Side& side, Body& body) {
    side.headers = nullptr;
    side.request ? context_->InjectRequest(body) : context_->InjectResponse(body);
  }
  Body& Buffer(Side& side) {
    return side.request ? context_->request_buffer() : context_->response_buffer();
  }
  uint64_t Limit(const Side& side) const {
    return side.request ? context_->request_buffer_limit() : context_->response_buffer_limit();
  }
  // Back-pressure while there is much that is not told.
  void Hold(Side& side) {
    uint64_t size = side.kept.size();
    for (const Side::Piece& piece : side.told) size += piece.body.size();
    const bool full = !side.finished && !done_ && Limit(side) != 0 && size > Limit(side);
    side.request ? context_->HoldRequest(full) : context_->HoldResponse(full);
  }

  const Settings* settings_;
  const RouteSettings* route_ = nullptr;
  std::unique_ptr<SideStream> stream_;
  Side request_{true};
  Side response_{false};
  bool opened_ = false;
  bool done_ = false;     // the processor is out of it
  bool replied_ = false;  // by ourselves
  bool over_ = false;
  bool told_config_ = false;
  bool timeout_overridden_ = false;
};

}  // namespace remora::ext_proc

#endif  // REMORA_FILTERS_EXT_PROC_FILTER_H_
