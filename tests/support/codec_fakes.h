#ifndef REMORA_TESTS_SUPPORT_CODEC_FAKES_H_
#define REMORA_TESTS_SUPPORT_CODEC_FAKES_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "filters/api/arena.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// A connection in memory.
class FakeCodecHost : public CodecHost {
 public:
  Body& output() override { return output_; }
  void WantFlush() override { ++flushes; }
  void WantFeed() override { feed_wanted = true; }
  void OnIdleChange(bool now_idle) override { idle = now_idle; }
  int64_t now_ns() override { return now; }

  // Everything written since the last call.
  std::string TakeOutput() {
    std::string text = output_.ToString();
    output_.Clear();
    return text;
  }

  int flushes = 0;
  bool feed_wanted = false;
  bool idle = true;
  int64_t now = 0;

 private:
  Body output_;
};

// Fields as text, one a line: ":method: GET\n...".
inline std::string FieldsText(const Headers& headers) {
  std::string text;
  headers.ForEachPseudo([&](const Header& h) {
    absl::StrAppend(&text, std::string(h.name), ": ", std::string(h.value), "\n");
  });
  headers.ForEach([&](const Header& h) {
    absl::StrAppend(&text, std::string(h.name), ": ", std::string(h.value), "\n");
  });
  return text;
}

// Records one exchange.
class FakeSink : public MessageSink {
 public:
  Arena& arena() override { return arena_; }
  void OnInterim(Headers* h) override {
    ++interims;
    last_interim = FieldsText(*h);
  }
  void OnHeaders(Headers* h, bool end) override {
    headers = h;
    headers_text = FieldsText(*h);
    ++header_events;
    if (end) ++ends;
    if (on_headers) on_headers(end);
    if (end && on_end) on_end();
  }
  void OnBody(Body& bytes, bool end) override {
    ++body_events;
    body += bytes.ToString();
    bytes.Clear();
    if (on_body) on_body();
    if (end) ++ends;
    if (end && on_end) on_end();
  }
  void OnTrailers(Headers* t) override {
    trailers_text = FieldsText(*t);
    ++trailer_events;
    ++ends;
    if (on_end) on_end();
  }
  void OnReset(ResetReason why, absl::string_view what) override {
    ++resets;
    reason = why;
    details = std::string(what);
    if (on_reset) on_reset();
  }
  void OnSendBlocked() override { ++blocked; }
  void OnSendDrained() override {
    ++drained;
    if (on_drained) on_drained();
  }

  // What an observer can tell about the exchange, whatever the cuts in the input.
  std::string Summary() const {
    return absl::StrCat("headers(", headers_text, ") interims=", interims, " body(", body,
                        ") trailers(", trailers_text, ") ends=", ends, " resets=", resets, " ",
                        details);
  }

  CodecStream* stream = nullptr;
  Headers* headers = nullptr;
  std::string headers_text, body, trailers_text, last_interim, details;
  int interims = 0, header_events = 0, body_events = 0, trailer_events = 0, ends = 0, resets = 0;
  int blocked = 0, drained = 0;
  ResetReason reason = ResetReason::kLocalReset;
  std::function<void(bool)> on_headers;
  std::function<void()> on_body;
  std::function<void()> on_end;
  std::function<void()> on_reset;
  std::function<void()> on_drained;

 private:
  Arena arena_;
};

class FakeServerEvents : public ServerCodecEvents {
 public:
  MessageSink* OnNewStream(CodecStream* stream) override {
    if (refuse) return nullptr;
    sinks.push_back(std::make_unique<FakeSink>());
    FakeSink* sink = sinks.back().get();
    sink->stream = stream;
    if (on_new) on_new(*sink);
    return sink;
  }
  void OnPingAck() override { ++pings; }

  std::deque<std::unique_ptr<FakeSink>> sinks;
  std::function<void(FakeSink&)> on_new;
  bool refuse = false;
  int pings = 0;
};

class FakeClientEvents : public ClientCodecEvents {
 public:
  void OnGoAway() override { ++goaways; }
  void OnMaxStreams(uint32_t n) override { most = n; }
  void OnStreamClosed() override { ++closed; }
  void OnPingAck() override { ++pings; }

  int goaways = 0, closed = 0, pings = 0;
  uint32_t most = 0;
};

// Headers in an arena of their own, from {name, value} pairs; names may be pseudo headers.
class TestHeaders {
 public:
  TestHeaders(std::initializer_list<std::pair<const char*, std::string>> fields)
      : headers_(&arena_) {
    for (const auto& [name, value] : fields) headers_.Add(name, value);
  }
  const Headers& operator*() const { return headers_; }
  Headers* get() { return &headers_; }

 private:
  Arena arena_;
  Headers headers_;
};

inline Body BodyOf(absl::string_view text) {
  Body body;
  body.Append(text);
  return body;
}

}  // namespace remora::proxy

#endif  // REMORA_TESTS_SUPPORT_CODEC_FAKES_H_
