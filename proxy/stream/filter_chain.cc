#include "proxy/stream/filter_chain.h"

#include <algorithm>
#include <new>
#include <utility>

#include "proxy/stream/filter_slot.h"
#include "proxy/stream/late_http_filter.h"

namespace remora::proxy {

void FilterChain::Build(const HttpService::Chain& chain) {
  built_ = true;
  if (chain.filters.empty()) return;
  const FilterChainHost::Levels levels = host_->route_levels();
  Arena& arena = host_->arena();
  slots_ = arena.NewArray<Slot*>(chain.filters.size());
  for (const HttpService::Filter& filter : chain.filters) {
    const HttpService::Filter* chosen = &filter;
    if (!filter.late_key.empty()) {
      if (!pin_) pin_ = host_->view().Pin();
      const auto* late = static_cast<const LateHttpFilter*>(pin_.FindFilter(filter.late_key));
      if (late == nullptr) {
        // Nothing may pass a chain that lacks one of its filters.
        for (size_t i = 0; i < count_; ++i) slots_[i]->~Slot();
        count_ = 0;
        Add(MissingFilter(), arena);
        break;
      }
      chosen = &late->filter;
      if (late->config.is_router) continue;
    }
    if (IsFilterOn(*chosen->config, levels)) Add(*chosen, arena);
  }
  response_start_ = count_ - 1;
}

void FilterChain::Add(const HttpService::Filter& filter, Arena& arena) {
  slots_[count_] = new (arena.Allocate(sizeof(Slot), alignof(Slot))) Slot(this, count_, filter);
  slots_[count_]->Start();
  ++count_;
}

void FilterChain::Stop() {
  if (std::exchange(stopped_, true)) return;
  ++marks_[kRequest];
  ++marks_[kResponse];
  request_over_ = true;
  for (size_t i = 0; i < count_; ++i) slots_[i]->StopTimer();
  for (size_t i = 0; i < count_; ++i) slots_[i]->filter().OnEnd();
}

void FilterChain::End() {
  Stop();
  for (size_t i = 0; i < count_; ++i) slots_[i]->~Slot();
  slots_ = nullptr;
  count_ = 0;
  request_reached_ = 0;
  response_start_ = 0;
  request_over_ = false;
  built_ = false;
  stopped_ = false;
  request_limit_.reset();
  pin_.Release();
}

void FilterChain::RequestHeaders(Headers* headers, bool end) {
  if (!request_over_) PassHeaders(kRequest, 0, headers, end);
}
void FilterChain::RequestBody(Body& body, bool end) {
  if (!request_over_) PassBody(kRequest, 0, body, end);
}
void FilterChain::RequestTrailers(Headers* trailers) {
  if (!request_over_) PassTrailers(kRequest, 0, trailers);
}
void FilterChain::ResponseHeaders(Headers* headers, bool end) {
  PassHeaders(kResponse, response_start_, headers, end);
}
void FilterChain::ResponseBody(Body& body, bool end) {
  PassBody(kResponse, response_start_, body, end);
}
void FilterChain::ResponseTrailers(Headers* trailers) {
  PassTrailers(kResponse, response_start_, trailers);
}

void FilterChain::StartReply() {
  request_over_ = true;
  ++marks_[kRequest];
  ++marks_[kResponse];
  response_start_ = request_reached_ - 1;
  for (size_t i = 0; i < count_; ++i) {
    for (const Direction direction : {kRequest, kResponse}) {
      Half& half = slots_[i]->half(direction);
      const int pauses = (half.reading_paused ? 1 : 0) + (half.held_back ? 1 : 0);
      half = Half();
      for (int pause = 0; pause < pauses; ++pause) {
        direction == kRequest ? host_->ResumeRequest() : host_->ResumeResponse();
      }
    }
  }
}

void FilterChain::PassHeaders(Direction direction, size_t index, Headers* headers, bool end) {
  for (; InRange(index); index = Next(direction, index)) {
    Half& half = slots_[index]->half(direction);
    if (direction == kRequest) request_reached_ = std::max(request_reached_, index + 1);
    const uint32_t before = mark(direction);
    half.headers = headers;
    half.in_hook = true;
    HttpFilter& filter = slots_[index]->filter();
    Verdict verdict = direction == kRequest ? filter.OnRequestHeaders(*headers, end)
                                            : filter.OnResponseHeaders(*headers, end);
    if (mark(direction) != before) return;
    half.in_hook = false;
    if (verdict == Verdict::kReplied) return;
    if (std::exchange(half.resume_asked, false)) verdict = Verdict::kContinue;
    if (verdict == Verdict::kContinue) continue;
    half.headers_held = true;
    half.end_seen = end;
    Hold(direction, half, verdict);
    return;
  }
  direction == kRequest ? host_->OnChainRequestHeaders(headers, end)
                        : host_->OnChainResponseHeaders(headers, end);
}

// Lets one filter see one piece.
bool FilterChain::HookBody(Direction direction, size_t index, Body& body, bool end) {
  Half& half = slots_[index]->half(direction);
  if (half.held == Held::kPaused) {
    half.waiting.Append(body);
    half.end_waiting = half.end_waiting || end;
    PauseWhenFull(direction, half);
    return false;
  }
  const uint32_t before = mark(direction);
  half.in_hook = true;
  HttpFilter& filter = slots_[index]->filter();
  Verdict verdict =
      direction == kRequest ? filter.OnRequestBody(body, end) : filter.OnResponseBody(body, end);
  if (mark(direction) != before) return false;
  half.in_hook = false;
  if (verdict == Verdict::kReplied) return false;
  if (std::exchange(half.resume_asked, false)) verdict = Verdict::kContinue;
  const bool holding = half.held != Held::kNone;
  if (verdict == Verdict::kContinue && !holding) return true;
  // Over HTTP/2 a body of one frame is never too large to be kept (Envoy's way).
  const bool whole = end && half.seen.empty() && host_->info().protocol == Protocol::kHttp2;
  half.seen.Append(body);
  half.end_seen = half.end_seen || end;
  if (!whole) {
    CheckLimit(direction, half);
    if (mark(direction) != before) return false;
  }
  if (verdict == Verdict::kContinue) {
    Release(direction, index);
  } else {
    Hold(direction, half, verdict);
  }
  return false;
}

void FilterChain::PassBody(Direction direction, size_t index, Body& body, bool end) {
  for (; InRange(index); index = Next(direction, index)) {
    if (!HookBody(direction, index, body, end)) return;
    Half& half = slots_[index]->half(direction);
    if (!end || !half.trailers_added) continue;
    const uint32_t before = mark(direction);
    if (!body.empty()) PassBody(direction, Next(direction, index), body, false);
    if (mark(direction) == before) PassTrailers(direction, Next(direction, index), half.trailers);
    return;
  }
  direction == kRequest ? host_->OnChainRequestBody(body, end)
                        : host_->OnChainResponseBody(body, end);
}

void FilterChain::PassTrailers(Direction direction, size_t index, Headers* trailers) {
  for (; InRange(index); index = Next(direction, index)) {
    Half& half = slots_[index]->half(direction);
    half.trailers = trailers;
    if (half.held == Held::kPaused) return;
    const uint32_t before = mark(direction);
    half.trailers_seen = true;
    half.in_hook = true;
    HttpFilter& filter = slots_[index]->filter();
    Verdict verdict = direction == kRequest ? filter.OnRequestTrailers(*trailers)
                                            : filter.OnResponseTrailers(*trailers);
    if (mark(direction) != before) return;
    half.in_hook = false;
    if (verdict == Verdict::kReplied) return;
    if (std::exchange(half.resume_asked, false)) verdict = Verdict::kContinue;
    if (verdict == Verdict::kContinue && half.held == Held::kNone) continue;
    if (verdict == Verdict::kContinue) {
      Release(direction, index);
    } else {
      Hold(direction, half, verdict);
    }
    return;
  }
  direction == kRequest ? host_->OnChainRequestTrailers(trailers)
                        : host_->OnChainResponseTrailers(trailers);
}

void FilterChain::Hold(Direction direction, Half& half, Verdict verdict) {
  half.held = verdict == Verdict::kPause ? Held::kPaused : Held::kBuffering;
  if (half.held == Held::kPaused) PauseWhenFull(direction, half);
}

// A request goes on arriving for a while, so that it may be complete when it is answered.
void FilterChain::PauseWhenFull(Direction direction, Half& half) {
  if (half.reading_paused) return;
  if (direction == kRequest) {
    constexpr uint64_t kMostWithoutLimit = 1024 * 1024;
    const uint64_t limit = host_->request_buffer_limit();
    if (half.waiting.size() < (limit == 0 ? kMostWithoutLimit : limit)) return;
  }
  half.reading_paused = true;
  direction == kRequest ? host_->PauseRequest() : host_->PauseResponse();
}

void FilterChain::Resume(Direction direction, size_t index) {
  if (stopped_) return;
  Half& half = slots_[index]->half(direction);
  if (half.in_hook) {
    half.resume_asked = true;
  } else if (half.held != Held::kNone) {
    Release(direction, index);
  }
}

void FilterChain::Inject(Direction direction, size_t index, Body& body) {
  if (stopped_) return;
  Half& half = slots_[index]->half(direction);
  const uint32_t before = mark(direction);
  if (std::exchange(half.headers_held, false)) {
    PassHeaders(direction, Next(direction, index), half.headers, false);
    if (mark(direction) != before) return;
  }
  if (!body.empty()) PassBody(direction, Next(direction, index), body, false);
}

Headers& FilterChain::AddTrailers(Direction direction, size_t index) {
  Half& half = slots_[index]->half(direction);
  if (half.trailers == nullptr) {
    half.trailers = host_->arena().New<Headers>(&host_->arena());
    half.trailers_seen = half.trailers_added = true;
  }
  return *half.trailers;
}

void FilterChain::HoldBack(Direction direction, size_t index, bool hold) {
  Half& half = slots_[index]->half(direction);
  if (stopped_ || half.held_back == hold) return;
  half.held_back = hold;
  if (direction == kRequest) {
    hold ? host_->PauseRequest() : host_->ResumeRequest();
  } else {
    hold ? host_->PauseResponse() : host_->ResumeResponse();
  }
}

// Hands on what the slot holds, then lets its filter see what waited.
void FilterChain::Release(Direction direction, size_t index) {
  Half& half = slots_[index]->half(direction);
  const uint32_t before = mark(direction);
  half.held = Held::kNone;
  const bool paused = std::exchange(half.reading_paused, false);
  const bool end_seen = std::exchange(half.end_seen, false) && !half.trailers_added;
  bool ended = false;
  if (std::exchange(half.headers_held, false)) {
    ended = end_seen && half.seen.empty() && half.trailers == nullptr;
    PassHeaders(direction, Next(direction, index), half.headers, ended);
    if (mark(direction) != before) return;
  }
  if (!ended && (end_seen || !half.seen.empty())) {
    Body seen(std::move(half.seen));
    PassBody(direction, Next(direction, index), seen, end_seen);
    if (mark(direction) != before) return;
  }
  if (half.end_waiting || !half.waiting.empty()) {
    Body waiting(std::move(half.waiting));
    PassBody(direction, index, waiting, std::exchange(half.end_waiting, false));
    if (mark(direction) != before) return;
  }
  if (half.trailers != nullptr && half.held == Held::kNone) {
    const size_t next = half.trailers_seen ? Next(direction, index) : index;
    PassTrailers(direction, next, half.trailers);
    if (mark(direction) != before) return;
  }
  if (paused) direction == kRequest ? host_->ResumeRequest() : host_->ResumeResponse();
}

void FilterChain::CheckLimit(Direction direction, const Half& half) {
  if (direction == kResponse) {
    const uint64_t limit = host_->response_buffer_limit();
    if (limit != 0 && half.seen.size() > limit) host_->OnChainResponseTooLarge();
    return;
  }
  const uint64_t limit = request_limit_.value_or(host_->request_buffer_limit());
  if ((limit != 0 || request_limit_) && half.seen.size() > limit) host_->OnChainRequestTooLarge();
}

}  // namespace remora::proxy
