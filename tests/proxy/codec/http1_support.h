#ifndef REMORA_TESTS_PROXY_CODEC_HTTP1_SUPPORT_H_
#define REMORA_TESTS_PROXY_CODEC_HTTP1_SUPPORT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {

// How an input is cut: the sizes of its pieces are decided by the offset reached so far.
using Cut = std::function<size_t(size_t offset)>;

inline Cut Whole() {
  return [](size_t) { return SIZE_MAX; };
}
inline Cut Bytewise() {
  return [](size_t) { return size_t{1}; };
}
inline Cut Once(size_t at) {
  return [at](size_t offset) { return offset < at ? at - offset : SIZE_MAX; };
}

// What a server codec made of `wire`. Requests are answered with 200 "ok" when they end.
struct ServerRun {
  std::vector<std::string> exchanges;
  std::string output;
  std::string error;  // "details status"; "" when there was none
  bool wants_close = false;
  size_t left = 0;

  std::string Text() const {
    std::string text;
    for (const std::string& exchange : exchanges) absl::StrAppend(&text, exchange, "\n");
    absl::StrAppend(&text, "error: ", error, "\nclose: ", wants_close, "\nleft: ", left,
                    "\noutput: ", output);
    return text;
  }
};

inline void AnswerOk(FakeSink& sink) {
  const TestHeaders ok({{":status", "200"}, {"content-length", "2"}});
  sink.stream->SendHeaders(*ok, false);
  Body body = BodyOf("ok");
  sink.stream->SendBody(body, true);
}

inline ServerRun RunServer(absl::string_view wire, const Cut& cut,
                           const Http1Options& options = {}) {
  FakeCodecHost host;
  FakeServerEvents events;
  events.on_new = [](FakeSink& sink) {
    sink.on_end = [&sink] {
      if (sink.resets == 0) AnswerOk(sink);
    };
  };
  auto codec = MakeHttp1ServerCodec(&host, &events, options);
  ServerRun run;
  Body input;
  size_t offset = 0;
  while (offset < wire.size()) {
    const size_t size = std::min(cut(offset), wire.size() - offset);
    input.Append(wire.substr(offset, size));
    offset += size;
    std::unique_ptr<CodecError> error = codec->Feed(input);
    if (error == nullptr) continue;
    run.error = absl::StrCat(std::string(error->details), " ", error->status);
    // Nothing after an error may have an effect.
    input.Append(wire.substr(offset));
    EXPECT_EQ(codec->Feed(input), nullptr);
    break;
  }
  for (const auto& sink : events.sinks) run.exchanges.push_back(sink->Summary());
  run.output = host.TakeOutput();
  run.wants_close = codec->wants_close();
  run.left = input.size();
  return run;
}

// What a client codec made of the answer `wire` to one request.
struct ClientRun {
  std::string exchange;
  std::string error;
  bool can_reuse = false;

  std::string Text() const {
    return absl::StrCat(exchange, "\nerror: ", error, "\nreuse: ", can_reuse);
  }
};

inline ClientRun RunClient(absl::string_view wire, const Cut& cut, const Http1Options& options = {},
                           const char* method = "GET", bool eof = false) {
  FakeCodecHost host;
  FakeClientEvents events;
  auto codec = MakeHttp1ClientCodec(&host, &events, options);
  FakeSink sink;
  const TestHeaders request({{":method", method}, {":path", "/"}, {":authority", "a"}});
  CodecStream* stream = codec->NewStream(&sink);
  stream->SendHeaders(*request, true);
  ClientRun run;
  Body input;
  size_t offset = 0;
  while (offset < wire.size()) {
    const size_t size = std::min(cut(offset), wire.size() - offset);
    input.Append(wire.substr(offset, size));
    offset += size;
    std::unique_ptr<CodecError> error = codec->Feed(input);
    if (error == nullptr) continue;
    run.error = std::string(error->details);
    break;
  }
  if (eof && run.error.empty()) codec->OnEof();
  run.exchange = sink.Summary();
  run.can_reuse = codec->can_reuse();
  return run;
}

// "\r\n" written as a plain line end, for readable tests.
inline std::string Crlf(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\n", "\r\n"}});
}

}  // namespace remora::proxy

#endif  // REMORA_TESTS_PROXY_CODEC_HTTP1_SUPPORT_H_
