#ifndef REMORA_TESTS_SUPPORT_STREAM_FIXTURE_H_
#define REMORA_TESTS_SUPPORT_STREAM_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/router.h"
#include "tests/support/memory_stream.h"
#include "tests/support/upstream_fixture.h"

namespace remora::testing {

// A router that a test works by hand. Only one lives for each stream, as with the real one.
class HandRouter final : public proxy::Router {
 public:
  HandRouter();
  ~HandRouter() override;
  // The one that got a request last; null before.
  static HandRouter* last;

  void OnRequestHeaders(proxy::RouterHost* host, Headers* headers, bool end, bool upgrade) override;
  void OnRequestBody(Body& body, bool end) override;
  void OnRequestTrailers(Headers* trailers) override;
  void PauseResponse() override { ++paused; }
  void ResumeResponse() override { --paused; }
  void Cancel() override;

  // Answers.
  void SendHeaders(int status, const std::vector<std::pair<std::string, std::string>>& fields,
                   bool end);
  void Respond(int status, absl::string_view body = "");
  void SendBody(absl::string_view body, bool end);

  proxy::RouterHost* host = nullptr;
  Headers* headers = nullptr;
  std::string body;
  bool ended = false;
  bool upgrade = false;
  bool trailers = false;
  int paused = 0;
  int cancels = 0;
};

// One connection manager on one loop: raw bytes in and out, a HandRouter behind.
class StreamFixture : public proxy::HttpConnectionOwner {
 public:
  StreamFixture();
  ~StreamFixture();

  // Fields of an HttpConnectionManager in YAML; stat_prefix is "h" and the router is added.
  void Configure(const std::string& yaml);
  // Opens a connection; bytes go through `far`.
  void Connect(absl::string_view peer = "10.9.8.7:4000");
  // Sends, lets the loop work, and returns what came back.
  std::string Talk(absl::string_view bytes);
  void Turn() { upstream.Turn(); }
  uint64_t Stat(const std::string& name) const { return upstream.Stat("http.h." + name); }
  HandRouter& router() { return *HandRouter::last; }
  std::string Log();

  void OnHttpConnectionEnded(proxy::HttpConnection* ended) override;
  bool ShouldDrain() override { return should_drain; }

  UpstreamFixture upstream;
  proxy::LogFiles log_files;
  std::string dir;
  std::unique_ptr<proxy::LogWriter> logs;
  std::unique_ptr<proxy::HttpWorker> worker;
  std::shared_ptr<const proxy::HttpService> service;
  std::unique_ptr<proxy::HttpConnection> connection;
  std::shared_ptr<FarEnd> far;
  bool should_drain = false;
  int ended = 0;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_STREAM_FIXTURE_H_
