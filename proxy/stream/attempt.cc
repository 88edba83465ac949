#include "proxy/stream/attempt.h"

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace remora::proxy {
namespace {

constexpr int64_t kNsPerMs = 1000000;

// `list` with `item` in it, once.
absl::string_view WithItem(absl::string_view list, absl::string_view item, Arena& arena) {
  if (list.empty()) return arena.Copy(item);
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    if (part == item) return list;
  }
  return arena.Concat(list, ",", item);
}

// Memory of attempts that ended, for the next ones of the thread.
class FreeList {
 public:
  ~FreeList() {
    while (head_ != nullptr) ::operator delete(std::exchange(head_, head_->next));
  }
  void* Take(size_t size) {
    if (head_ == nullptr) return ::operator new(size);
    --count_;
    return std::exchange(head_, head_->next);
  }
  void Give(void* memory) {
    if (count_ == kMost) {
      ::operator delete(memory);
      return;
    }
    ++count_;
    head_ = new (memory) Node{head_};
  }

 private:
  struct Node {
    Node* next;
  };
  static constexpr size_t kMost = 4096;
  Node* head_ = nullptr;
  size_t count_ = 0;
};

thread_local FreeList free_list;

}  // namespace

void* Attempt::operator new(size_t size) { return free_list.Take(size); }
void Attempt::operator delete(void* memory, size_t /*size*/) { free_list.Give(memory); }

Attempt::~Attempt() { Cancel(); }

void Attempt::Begin(const Start& start) {
  cluster_ = start.cluster;
  cluster_ref_ = ClusterRef(start.cluster);
  entry_ = start.choice.entry;
  info_ = start.info;
  arena_ = start.arena;
  headers_ = start.headers;
  end_with_headers_ = start.end;
  idle_ms_ = start.idle_ms;
  host_ = &cluster_->PoolsOf(*entry_);
  ++host_->refs;

  // Known before there is a connection, so that a log names the host that failed.
  info_->upstream_host = arena_->Copy(host_->host->address_string());
  info_->upstream_host_name = arena_->Copy(entry_->attributes->hostname);
  StreamLease::Open(cluster_->PoolFor(start.choice, start.key));
}

void Attempt::Drop(std::unique_ptr<Attempt> attempt, Loop& loop) {
  if (attempt == nullptr) return;
  attempt->Cancel();
  loop.graveyard().Bury(std::move(attempt));
}

void Attempt::Cancel() {
  per_try_timer_.reset();
  idle_timer_.reset();
  duration_timer_.reset();
  NoteWireBytes();
  StreamLease::Cancel();
  if (host_ != nullptr) --std::exchange(host_, nullptr)->refs;
  hold_.Release();
  cluster_ref_.Release();
}

void Attempt::FillInfo() {
  const UpstreamConnection& upstream = *connection();
  const ConnectionInfo& connection = StreamLease::connection()->connection().info();
  info_->upstream_remote = connection.remote;
  info_->upstream_local = connection.local;
  info_->upstream_protocol = upstream.protocol();
  info_->upstream_connection_id = connection.id;
  info_->upstream_tls = connection.tls;
  info_->upstream_metadata = static_cast<const Metadata*>(entry_->attributes->metadata.get());
  info_->upstream_hosts_attempted =
      WithItem(info_->upstream_hosts_attempted, info_->upstream_host, *arena_);
  info_->upstream_host_names_attempted =
      WithItem(info_->upstream_host_names_attempted,
               info_->upstream_host_name.empty() ? info_->upstream_host : info_->upstream_host_name,
               *arena_);
  info_->upstream_connections_attempted = WithItem(info_->upstream_connections_attempted,
                                                   absl::AlphaNum(connection.id).Piece(), *arena_);
  info_->timing.upstream_pool_ready_ns = cluster_->loop().now_ns();
  info_->timing.upstream_connect_start_ns = upstream.connect_start_ns();
  info_->timing.upstream_connect_end_ns = upstream.connect_end_ns();
  info_->timing.upstream_handshake_end_ns = connection.handshake_done_ns;
}

void Attempt::OnLeased() {
  ready_ = true;
  hold_ = ConnectionHold(connection());
  FillInfo();
  cluster_->ReportResult(*host_, health::Outcome::kConnected);
  const auto& limit = cluster_->config().http.common.max_stream_duration;
  if (limit.has_value() && *limit > absl::ZeroDuration()) {
    duration_timer_.emplace(
        &cluster_->loop().timers(),
        [](void* self) {
          static_cast<Attempt*>(self)->Fire(AttemptEvents::Limit::kStreamDuration);
        },
        this);
    duration_timer_->Start(absl::ToInt64Nanoseconds(*limit));
  }
  if (idle_ms_ > 0) {
    idle_timer_.emplace(
        &cluster_->loop().timers(),
        [](void* self) { static_cast<Attempt*>(self)->Fire(AttemptEvents::Limit::kPerTryIdle); },
        this);
    Touch();
  }
  for (uint32_t i = 0; i < pauses_; ++i) stream()->PauseReading();
  events_->OnAttemptReady(*this);
  if (!open()) return;
  SendKept();
}

void Attempt::SendKept() {
  info_->timing.upstream_first_tx_ns = cluster_->loop().now_ns();
  sent_ = true;
  stream()->SendHeaders(*headers_, end_with_headers_);
  if (end_with_headers_) return RequestEnded();
  if (!waiting_.empty() || end_with_body_) {
    if (!open()) return;
    stream()->SendBody(waiting_, end_with_body_);
    if (end_with_body_) RequestEnded();
  }
  if (trailers_ != nullptr && open()) {
    stream()->SendTrailers(*trailers_);
    RequestEnded();
  }
  if (std::exchange(blocked_by_wait_, false) && !blocked_by_codec_) events_->OnAttemptDrained();
}

void Attempt::SendBody(Body& body, bool end) {
  if (open() && sent_) {
    Touch();
    stream()->SendBody(body, end);
    if (end) RequestEnded();
    return;
  }
  waiting_.Append(body);
  end_with_body_ = end;
  if (!end && waiting_.size() > kMostWaiting && !blocked_by_wait_) {
    blocked_by_wait_ = true;
    events_->OnAttemptBlocked();
  }
}

void Attempt::SendTrailers(const Headers* trailers) {
  trailers_ = trailers;
  if (!open() || !sent_) return;
  stream()->SendTrailers(*trailers);
  RequestEnded();
}

void Attempt::RequestEnded() {
  if (request_ended_) return;
  request_ended_ = true;
  info_->timing.upstream_last_tx_ns = cluster_->loop().now_ns();
  FinishIfOver();
}

void Attempt::ResponseEnded() {
  response_ended_ = true;
  info_->timing.upstream_last_rx_ns = cluster_->loop().now_ns();
  per_try_timer_.reset();
  idle_timer_.reset();
  duration_timer_.reset();
  FinishIfOver();
}

void Attempt::FinishIfOver() {
  if (!request_ended_ || !response_ended_) return;
  NoteWireBytes();
  StreamLease::Finish();
}

void Attempt::NoteWireBytes() {
  if (!open()) return;
  const CodecStream::WireBytes bytes = stream()->wire_bytes();
  info_->upstream_wire_sent = bytes.sent;
  info_->upstream_wire_received = bytes.received;
  info_->upstream_header_sent = bytes.header_sent;
  info_->upstream_header_received = bytes.header_received;
  info_->upstream_fields_sent = bytes.fields_sent;
  info_->upstream_fields_received = bytes.fields_received;
}

void Attempt::Touch() {
  if (idle_timer_.has_value()) idle_timer_->Start(idle_ms_ * kNsPerMs);
}

void Attempt::StartPerTryTimer(int64_t ms) {
  per_try_timer_.emplace(
      &cluster_->loop().timers(),
      [](void* self) { static_cast<Attempt*>(self)->Fire(AttemptEvents::Limit::kPerTry); }, this);
  per_try_timer_->StartMs(ms);
}

void Attempt::PauseResponse() {
  ++pauses_;
  if (open()) stream()->PauseReading();
}

void Attempt::ResumeResponse() {
  if (pauses_ == 0) return;
  --pauses_;
  if (open()) stream()->ResumeReading();
}

void Attempt::OnLeaseFailed(const PoolFailure& failure) {
  info_->timing.upstream_pool_ready_ns = cluster_->loop().now_ns();
  events_->OnAttemptFailed(*this, FailureOf(failure.kind), failure.transport_reason);
}

void Attempt::OnInterim(Headers* headers) {
  Touch();
  events_->OnAttemptInterim(*this, headers);
}

void Attempt::OnHeaders(Headers* headers, bool end) {
  headers_received_ = true;
  per_try_timer_.reset();
  info_->timing.upstream_first_rx_ns = cluster_->loop().now_ns();
  Touch();
  if (end) ResponseEnded();
  events_->OnAttemptHeaders(*this, headers, end);
}

void Attempt::OnBody(Body& body, bool end) {
  Touch();
  if (end) ResponseEnded();
  events_->OnAttemptBody(*this, body, end);
}

void Attempt::OnTrailers(Headers* trailers) {
  ResponseEnded();
  events_->OnAttemptTrailers(*this, trailers);
}

void Attempt::OnReset(ResetReason reason, absl::string_view /*details*/) {
  NoteWireBytes();
  if (reason == ResetReason::kRemoteReset) cluster_->stats().Add(ClusterStat::kRqRxReset);
  const bool broken = connection() != nullptr && connection()->protocol_error();
  StreamLease::Finish();
  events_->OnAttemptFailed(*this, FailureOf(reason, broken), {});
}

void Attempt::OnSendBlocked() {
  if (std::exchange(blocked_by_codec_, true) || blocked_by_wait_) return;
  events_->OnAttemptBlocked();
}

void Attempt::OnSendDrained() {
  if (!std::exchange(blocked_by_codec_, false) || blocked_by_wait_) return;
  events_->OnAttemptDrained();
}

}  // namespace remora::proxy
