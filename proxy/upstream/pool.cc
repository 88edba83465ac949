#include "proxy/upstream/pool.h"

#include <utility>

#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/upstream_connection.h"

namespace remora::proxy {

using health::Resource;
using State = UpstreamConnection::State;

void StreamLease::Open(HttpPool& pool) {
  pool_ = &pool;
  pool.Claim(this);
}

void StreamLease::Finish() {
  if (state_ != State::kOpen) return;
  state_ = State::kIdle;
  stream_ = nullptr;
  ticket_.Release();
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  HttpPool* pool = std::exchange(pool_, nullptr);
  const bool clean = std::exchange(clean_, true);
  pool->view().stats().Sub(ClusterStat::kRqActive);
  pool->host().host->state().rq_active.fetch_sub(1, std::memory_order_relaxed);
  connection->StreamFinished(clean);
}

void StreamLease::Cancel() {
  if (state_ == State::kWaiting) {
    pool_->StopWaiting(this);
    return;
  }
  if (state_ != State::kOpen) return;
  CodecStream* stream = std::exchange(stream_, nullptr);
  if (connection_->protocol() == Protocol::kHttp2) {
    pool_->view().stats().Add(ClusterStat::kRqTxReset);
  }
  clean_ = false;
  stream->Reset(ResetReason::kLocalReset);
  Finish();
}

HttpPool::HttpPool(ClusterView* view, HostPools* host, const PoolKey& key)
    : view_(view),
      host_(host),
      protocol_(key.protocol),
      priority_(key.priority),
      transport_(key.transport),
      sni_(key.sni) {}

HttpPool::~HttpPool() {
  // Only when the whole view goes down may connections be left.
  for (ConnectionList* list : {&connecting_, &ready_, &busy_, &draining_}) {
    while (list->head != nullptr) {
      UpstreamConnection* connection = list->head;
      Unlink(connection);
      connection->CountEnd(/*local=*/true);
      delete connection;
    }
  }
}

bool HttpPool::Serves(const PoolKey& key) const {
  return protocol_ == key.protocol && priority_ == key.priority && transport_ == key.transport &&
         sni_ == key.sni;
}

bool HttpPool::unused() const { return connections() == 0 && waiting_size_ == 0; }

void HttpPool::Drain() {
  drain_ = true;
  for (ConnectionList* list : {&ready_, &busy_}) {
    UpstreamConnection* connection = list->head;
    while (connection != nullptr) {
      UpstreamConnection* next = connection->next_;
      connection->Drain();
      connection = next;
    }
  }
}

void HttpPool::Claim(StreamLease* lease) {
  while (ready_.head != nullptr) {
    if (Attach(lease, ready_.head)) return;
  }
  health::Ticket ticket = view_->breakers(priority_).TryTake(Resource::kPending);
  if (!ticket) {
    view_->stats().Add(ClusterStat::kRqPendingOverflow);
    Fail(lease, PoolFailure{PoolFailureKind::kOverflow, {}});
    return;
  }
  view_->stats().Add(ClusterStat::kRqPendingTotal);
  lease->ticket_ = std::move(ticket);
  Enqueue(lease);
  if (waiting_size_ > coming_) Grow();
  Preconnect();
}

// Room for more streams than there are, as the cluster's ratio says (Envoy's rule: at most three
// connections for one request).
void HttpPool::Preconnect() {
  const double ratio = view_->config().preconnect_ratio;
  if (ratio <= 1.0 || drain_) return;
  constexpr int kMost = 2;
  for (int i = 0; i < kMost; ++i) {
    const double active = static_cast<double>(busy_.size);
    const double wanted = (static_cast<double>(waiting_size_) + active) * ratio;
    if (wanted <= static_cast<double>(coming_ + ready_.size) + active || !Grow()) return;
  }
}

void HttpPool::Fail(StreamLease* lease, const PoolFailure& failure) {
  lease->state_ = StreamLease::State::kIdle;
  lease->pool_ = nullptr;
  lease->ticket_.Release();
  lease->OnLeaseFailed(failure);
}

// True when the lease was answered, one way or the other.
bool HttpPool::Attach(StreamLease* lease, UpstreamConnection* connection) {
  health::Ticket ticket = view_->breakers(priority_).TryTake(Resource::kRequests);
  if (!ticket) {
    view_->stats().Add(ClusterStat::kRqActiveOverflow);
    Fail(lease, PoolFailure{PoolFailureKind::kOverflow, {}});
    return true;
  }
  CodecStream* stream = connection->OpenStream(lease->lease_sink());
  if (stream == nullptr) return false;
  lease->state_ = StreamLease::State::kOpen;
  lease->ticket_ = std::move(ticket);
  lease->connection_ = connection;
  lease->stream_ = stream;
  view_->stats().Add(ClusterStat::kRqTotal);
  view_->stats().Add(ClusterStat::kRqActive);
  lb::HostState& state = host_->host->state();
  state.rq_total.fetch_add(1, std::memory_order_relaxed);
  state.rq_active.fetch_add(1, std::memory_order_relaxed);
  lease->OnLeased();
  return true;
}

void HttpPool::StopWaiting(StreamLease* lease) {
  Dequeue(lease);
  lease->state_ = StreamLease::State::kIdle;
  lease->pool_ = nullptr;
  lease->ticket_.Release();
  view_->stats().Add(ClusterStat::kRqCancelled);
  view_->OnSomethingEnded();
}

void HttpPool::ServeWaiting() {
  while (waiting_head_ != nullptr && ready_.head != nullptr) {
    StreamLease* lease = waiting_head_;
    Dequeue(lease);
    health::Ticket pending = std::move(lease->ticket_);
    if (Attach(lease, ready_.head)) continue;
    lease->ticket_ = std::move(pending);
    Enqueue(lease);
  }
  while (waiting_size_ > coming_ && Grow()) {
  }
}

bool HttpPool::Grow() {
  const bool first = connecting_.size + ready_.size + busy_.size == 0;
  health::Ticket ticket = view_->TakeConnection(*host_->host, priority_, first);
  if (!ticket) return false;
  auto* connection = new UpstreamConnection(this, std::move(ticket));
  Move(connection, State::kConnecting);
  coming_ += connection->expected_;
  return true;
}

void HttpPool::OnConnected(UpstreamConnection* connection) {
  connection->Settle();
  ServeWaiting();
  if (drain_) connection->Settle();
}

void HttpPool::OnConnectFailed(const PoolFailure& failure) {
  // Those that come meanwhile, from inside the answers, wait for connections of their own.
  for (size_t left = waiting_size_; left != 0 && waiting_head_ != nullptr; --left) {
    StreamLease* lease = waiting_head_;
    Dequeue(lease);
    view_->stats().Add(ClusterStat::kRqPendingFailureEject);
    Fail(lease, failure);
  }
  ServeWaiting();
}

void HttpPool::Move(UpstreamConnection* connection, uint8_t state) {
  Unlink(connection);
  connection->state_ = static_cast<State>(state);
  ConnectionList& list = ListOf(state);
  connection->prev_ = nullptr;
  connection->next_ = list.head;
  if (list.head != nullptr) list.head->prev_ = connection;
  list.head = connection;
  if (list.tail == nullptr) list.tail = connection;
  ++list.size;
  connection->listed_ = true;
}

void HttpPool::Unlink(UpstreamConnection* connection) {
  if (!connection->listed_) return;
  ConnectionList& list = ListOf(connection->state_);
  (connection->prev_ != nullptr ? connection->prev_->next_ : list.head) = connection->next_;
  (connection->next_ != nullptr ? connection->next_->prev_ : list.tail) = connection->prev_;
  connection->prev_ = connection->next_ = nullptr;
  connection->listed_ = false;
  --list.size;
  if (connection->state_ == State::kConnecting) coming_ -= connection->expected_;
}

void HttpPool::Remove(UpstreamConnection* connection) {
  Unlink(connection);
  connection->state_ = State::kClosed;
  if (connection->holds_ == 0) {
    view_->loop().graveyard().Bury(std::unique_ptr<UpstreamConnection>(connection));
  }
  view_->OnSomethingEnded();
}

HttpPool::ConnectionList& HttpPool::ListOf(uint8_t state) {
  switch (state) {
    case State::kConnecting:
      return connecting_;
    case State::kReady:
      return ready_;
    case State::kBusy:
      return busy_;
    default:
      return draining_;
  }
}

void HttpPool::Enqueue(StreamLease* lease) {
  lease->state_ = StreamLease::State::kWaiting;
  lease->next_ = nullptr;
  lease->prev_ = waiting_tail_;
  (waiting_tail_ != nullptr ? waiting_tail_->next_ : waiting_head_) = lease;
  waiting_tail_ = lease;
  ++waiting_size_;
  view_->stats().Add(ClusterStat::kRqPendingActive);
}

void HttpPool::Dequeue(StreamLease* lease) {
  (lease->prev_ != nullptr ? lease->prev_->next_ : waiting_head_) = lease->next_;
  (lease->next_ != nullptr ? lease->next_->prev_ : waiting_tail_) = lease->prev_;
  lease->prev_ = lease->next_ = nullptr;
  --waiting_size_;
  view_->stats().Sub(ClusterStat::kRqPendingActive);
}

}  // namespace remora::proxy
