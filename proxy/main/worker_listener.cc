#include "proxy/main/worker_listener.h"

#include <unistd.h>

#include <utility>

#include "proxy/main/served_connection.h"
#include "proxy/net/socket_stream.h"

namespace remora::proxy {

WorkerListener::WorkerListener(const ListenerWorld* world,
                               std::shared_ptr<const ServedListener> listener)
    : world_(world),
      listener_(std::move(listener)),
      stats_(world->stats->Cells(*listener_->stats)),
      worker_stats_(world->stats->Cells(*listener_->worker_stats[world->worker_index])) {
  StartAccepting();
}

WorkerListener::~WorkerListener() { CloseAll(); }

void WorkerListener::StartAccepting() {
  for (const std::shared_ptr<ListenGroup>& group : listener_->sockets) {
    acceptors_.push_back(std::make_unique<Acceptor>(
        world_->loop, group, world_->worker_index, listener_->config->max_accepts_per_event,
        [this](int descriptor, const Address& remote) { Accept(descriptor, remote); }));
  }
}

bool WorkerListener::MayAccept() {
  const Runtime* runtime = world_->http->runtime();
  if (!listener_->config->ignore_global_connection_limit && !listener_->process->MayOpen(runtime)) {
    stats_.Add(ListenerStat::kGlobalCxOverflow);
    return false;
  }
  if (runtime == nullptr) return true;
  const uint64_t most = runtime->Integer(listener_->limit_key, UINT64_MAX);
  if (listener_->open->load(std::memory_order_relaxed) < most) return true;
  stats_.Add(ListenerStat::kCxOverflow);
  return false;
}

void WorkerListener::Accept(int descriptor, const Address& remote) {
  if (!MayAccept()) {
    close(descriptor);
    return;
  }
  auto connection = std::make_unique<Connection>(
      world_->loop, AdoptSocket(world_->loop, descriptor), MakeRawTransport(),
      listener_->config->per_connection_buffer_limit);
  ++*world_->accepted;
  ConnectionInfo& info = connection->info();
  info.direct_remote = remote;
  info.remote = remote;
  info.local = connection->stream().local_address();
  Serve(std::move(connection), /*may_hand_off=*/true);
}

void WorkerListener::Take(std::unique_ptr<Connection> connection) {
  Serve(std::move(connection), /*may_hand_off=*/false);
}

void WorkerListener::Serve(std::unique_ptr<Connection> connection, bool may_hand_off) {
  // Owned by the list; buries itself at its end.
  auto* served = new ServedConnection(this, listener_, std::move(connection), may_hand_off);
  Add(served);
  served->Start();
}

void WorkerListener::Add(ServedConnection* connection) {
  connection->next_ = first_;
  if (first_ != nullptr) first_->prev_ = connection;
  first_ = connection;
  ++count_;
  listener_->open->fetch_add(1, std::memory_order_relaxed);
  listener_->process->open.fetch_add(1, std::memory_order_relaxed);
}

void WorkerListener::CountConnection() {
  stats_.Add(ListenerStat::kCxTotal);
  stats_.Add(ListenerStat::kCxActive);
  worker_stats_.Add(ListenerWorkerStat::kCxTotal);
  worker_stats_.Add(ListenerWorkerStat::kCxActive);
}

void WorkerListener::Forget(ServedConnection* connection) {
  if (connection->prev_ != nullptr) connection->prev_->next_ = connection->next_;
  if (connection->next_ != nullptr) connection->next_->prev_ = connection->prev_;
  if (first_ == connection) first_ = connection->next_;
  connection->prev_ = connection->next_ = nullptr;
  --count_;
  listener_->open->fetch_sub(1, std::memory_order_relaxed);
  listener_->process->open.fetch_sub(1, std::memory_order_relaxed);
  if (connection->chain() == nullptr) return;
  stats_.Add(ListenerStat::kCxDestroy);
  stats_.Sub(ListenerStat::kCxActive);
  worker_stats_.Sub(ListenerWorkerStat::kCxActive);
}

void WorkerListener::Update(std::shared_ptr<const ServedListener> listener, const Drain& drain) {
  listener_ = std::move(listener);
  for (ServedConnection* at = first_; at != nullptr;) {
    ServedConnection* next = at->next_;
    bool stays = at->chain() == nullptr;
    for (const auto& [config, chain] : listener_->chains) {
      stays = stays || (chain.get() == at->chain() || chain->config == at->chain()->config);
    }
    if (!stays) at->StartDrain(drain);
    at = next;
  }
}

void WorkerListener::StopAccepting() { acceptors_.clear(); }

void WorkerListener::Remove(const Drain& drain) {
  StopAccepting();
  drain_ = drain;
  for (ServedConnection* at = first_; at != nullptr;) {
    ServedConnection* next = at->next_;
    at->StartDrain(drain);
    at = next;
  }
}

void WorkerListener::AnnounceDrain() {
  for (ServedConnection* at = first_; at != nullptr;) {
    ServedConnection* next = at->next_;
    at->AnnounceDrain();
    at = next;
  }
}

void WorkerListener::CloseAll() {
  StopAccepting();
  while (first_ != nullptr) {
    ServedConnection* before = first_;
    first_->Close();
    // Close() ends it at once; a session that needs another turn is destroyed with the worker.
    if (first_ == before) break;
  }
}

size_t WorkerListener::open_exchanges() const {
  size_t open = 0;
  for (const ServedConnection* at = first_; at != nullptr; at = at->next_)
    open += at->open_exchanges();
  return open;
}

WorkerListener* FindListener(const std::vector<std::unique_ptr<WorkerListener>>& listeners,
                             const Address& address) {
  WorkerListener* wildcard = nullptr;
  for (const std::unique_ptr<WorkerListener>& listener : listeners) {
    if (listener == nullptr) continue;
    const xds::Listener& config = *listener->listener().config;
    std::vector<xds::AddressSpec> specs = config.additional_addresses;
    specs.push_back(config.address);
    for (const xds::AddressSpec& spec : specs) {
      const std::optional<Address> own = Address::FromIp(spec.host, spec.port);
      if (!own || own->port() != address.port()) continue;
      if (*own == address) return listener.get();
      const bool any4 = spec.host == "0.0.0.0" && address.kind() == Address::Kind::kIpv4;
      const bool any6 =
          spec.host == "::" && (address.kind() == Address::Kind::kIpv6 || spec.ipv4_compat);
      if (any4 || any6) wildcard = listener.get();
    }
  }
  return wildcard;
}

}  // namespace remora::proxy
