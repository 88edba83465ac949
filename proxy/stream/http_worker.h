#ifndef REMORA_PROXY_STREAM_HTTP_WORKER_H_
#define REMORA_PROXY_STREAM_HTTP_WORKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/string_view.h"
#include "filters/runtime.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/stream/log_file.h"
#include "proxy/stream/router.h"
#include "proxy/upstream/codec_stats.h"

namespace remora::proxy {

class Stream;
class HttpService;
class WorkerView;

// What the HTTP connections of one worker share: pooled streams, the text of the date header, the
// way to the log files.
//
// Threads: its loop's. Lifetime: outlives every HttpConnection made with it; the WorkerView and the
// LogWriter outlive it.
class HttpWorker {
 public:
  HttpWorker(WorkerView* view, LogWriter* logs);
  ~HttpWorker();
  HttpWorker(const HttpWorker&) = delete;
  HttpWorker& operator=(const HttpWorker&) = delete;

  Loop& loop();
  WorkerView& view() { return *view_; }
  StatSlab& stats();
  LogWriter& logs() { return *logs_; }
  // What this worker's codecs downstream count; `service` knows under which names.
  StatScope<Http1Stat> http1_stats(const HttpService& service);
  StatScope<Http2Stat> http2_stats(const HttpService& service);
  CountedCodecs& http2_counts() { return http2_counts_; }
  uint64_t random();

  // The runtime layers in force; may be null.
  const Runtime* runtime() const { return runtime_.get(); }
  void set_runtime(std::shared_ptr<const Runtime> runtime) { runtime_ = std::move(runtime); }
  // /healthcheck/fail was called (health_check filter).
  bool server_failing() const {
    return server_failing_ != nullptr && server_failing_->load(std::memory_order_relaxed);
  }
  // Written by main; must outlive this.
  void set_server_failing(const std::atomic<bool>* failing) { server_failing_ = failing; }

  // "Tue, 29 Oct 2024 16:56:32 GMT"; rendered once a second.
  absl::string_view DateText();
  // Goes up by one.
  uint64_t NextStreamId() { return next_stream_id_++; }

  // The routers of the streams; who answers by itself (admin, tests) gives its own before the first
  // stream is made.
  using RouterMaker = std::function<std::unique_ptr<Router>()>;
  void set_router_maker(RouterMaker maker) { router_maker_ = std::move(maker); }
  std::unique_ptr<Router> MakeRouter() { return router_maker_(); }

  // Streams are reused: taking one allocates only until as many exist as are open at once.
  std::unique_ptr<Stream> TakeStream();
  // `stream` has ended. Its frames may be on the stack: it is emptied when the turn is over.
  void GiveBack(std::unique_ptr<Stream> stream);

 private:
  class Recycler;
  friend class Recycler;
  void KeepIdle(std::unique_ptr<Stream> stream);
  static constexpr size_t kMostIdleStreams = 4096;

  WorkerView* view_;
  LogWriter* logs_;
  std::shared_ptr<const Runtime> runtime_;
  const std::atomic<bool>* server_failing_ = nullptr;
  uint64_t next_stream_id_ = 1;
  int64_t date_second_ = -1;
  char date_[32] = {};
  Stream* idle_streams_ = nullptr;  // linked by Stream::next_
  size_t idle_count_ = 0;
  CountedCodecs http2_counts_;
  RouterMaker router_maker_;
  std::unique_ptr<Recycler> recycler_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_HTTP_WORKER_H_
