#include "proxy/stream/http_worker.h"

#include <ctime>

#include "proxy/stream/http_service.h"
#include "proxy/stream/stream.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {

// Streams that ended in this turn, until it is over.
class HttpWorker::Recycler final : public Loop::TurnItem {
 public:
  explicit Recycler(HttpWorker* worker) : worker_(worker) {}
  ~Recycler() override { Empty(); }

  void Add(std::unique_ptr<Stream> stream) {
    stream->next_ = ended_;
    ended_ = stream.release();
    if (!queued()) worker_->loop().AtEndOfTurn(this);
  }
  void RunAtEndOfTurn() override { Empty(); }

 private:
  void Empty() {
    while (ended_ != nullptr) {
      std::unique_ptr<Stream> stream(std::exchange(ended_, ended_->next_));
      stream->Clear();
      worker_->KeepIdle(std::move(stream));
    }
  }

  HttpWorker* worker_;
  Stream* ended_ = nullptr;
};

HttpWorker::HttpWorker(WorkerView* view, LogWriter* logs)
    : view_(view),
      logs_(logs),
      router_maker_(&Router::Create),
      recycler_(std::make_unique<Recycler>(this)) {
  if (logs_ != nullptr) logs_->set_view(view_);
}

HttpWorker::~HttpWorker() {
  recycler_.reset();
  while (idle_streams_ != nullptr) delete std::exchange(idle_streams_, idle_streams_->next_);
  if (logs_ != nullptr) logs_->set_view(nullptr);
}

Loop& HttpWorker::loop() { return view_->loop(); }
StatSlab& HttpWorker::stats() { return view_->stats(); }
StatScope<Http1Stat> HttpWorker::http1_stats(const HttpService& service) {
  return StatScope<Http1Stat>(stats().Cells(service.http1_stats()));
}
StatScope<Http2Stat> HttpWorker::http2_stats(const HttpService& service) {
  return StatScope<Http2Stat>(stats().Cells(service.http2_stats()));
}
uint64_t HttpWorker::random() { return view_->random().Next(); }

absl::string_view HttpWorker::DateText() {
  const int64_t second = loop().system_now_ns() / 1000000000;
  if (second != date_second_) {
    date_second_ = second;
    const std::time_t time = second;
    std::tm parts;
    ::gmtime_r(&time, &parts);
    std::strftime(date_, sizeof date_, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return date_;
}

std::unique_ptr<Stream> HttpWorker::TakeStream() {
  if (idle_streams_ == nullptr) return std::make_unique<Stream>(this);
  --idle_count_;
  Stream* stream = std::exchange(idle_streams_, idle_streams_->next_);
  stream->next_ = nullptr;
  return std::unique_ptr<Stream>(stream);
}

void HttpWorker::GiveBack(std::unique_ptr<Stream> stream) { recycler_->Add(std::move(stream)); }

void HttpWorker::KeepIdle(std::unique_ptr<Stream> stream) {
  if (idle_count_ >= kMostIdleStreams) return;
  ++idle_count_;
  stream->next_ = idle_streams_;
  idle_streams_ = stream.release();
}

}  // namespace remora::proxy
