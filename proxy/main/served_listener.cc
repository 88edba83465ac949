#include "proxy/main/served_listener.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proxy/main/listener_stats.h"
#include "proxy/main/tls_contexts.h"
#include "xds/http_connection_manager.h"
#include "xds/tcp_proxy.h"

namespace remora::proxy {
namespace {

uint64_t next_listener_id = 1;

absl::StatusOr<Address> Resolve(const xds::AddressSpec& spec) {
  std::optional<Address> address = spec.kind == xds::AddressSpec::Kind::kPipe
                                       ? Address::FromPipe(spec.host)
                                       : Address::FromIp(spec.host, spec.port);
  if (!address)
    return absl::InvalidArgumentError(absl::StrCat("malformed IP address: ", spec.host));
  return *address;
}

ListenOptions OptionsOf(const xds::Listener& config, const xds::AddressSpec& spec) {
  ListenOptions options;
  options.reuse_port = config.reuse_port;
  options.transparent = config.transparent;
  options.freebind = config.freebind;
  options.ipv4_compat = spec.ipv4_compat;
  options.backlog = static_cast<int>(config.backlog);
  options.pipe_mode = spec.pipe_mode;
  if (config.fast_open_queue) options.fast_open_queue = static_cast<int>(*config.fast_open_queue);
  for (const xds::SocketOption& option : config.socket_options) {
    ListenOptions::Option extra{static_cast<int>(option.level), static_cast<int>(option.name),
                                option.value};
    if (option.state == xds::SocketOption::State::kBound)
      extra.when = ListenOptions::Option::When::kBound;
    if (option.state == xds::SocketOption::State::kListening)
      extra.when = ListenOptions::Option::When::kListening;
    options.extra.push_back(std::move(extra));
  }
  return options;
}

absl::Status BindAll(const ListenerInput& input, ServedListener* out) {
  const xds::Listener& config = *input.config;
  if (input.sockets == nullptr || !config.bind_to_port ||
      config.kind != xds::Listener::Kind::kTcp) {
    return absl::OkStatus();
  }
  // An update that leaves the addresses alone keeps the very sockets, port 0 included.
  if (input.previous != nullptr && input.previous->config->address == config.address &&
      input.previous->config->additional_addresses == config.additional_addresses &&
      input.previous->config->reuse_port == config.reuse_port) {
    out->sockets = input.previous->sockets;
    return absl::OkStatus();
  }
  std::vector<xds::AddressSpec> specs = {config.address};
  specs.insert(specs.end(), config.additional_addresses.begin(), config.additional_addresses.end());
  for (const xds::AddressSpec& spec : specs) {
    absl::StatusOr<Address> address = Resolve(spec);
    if (!address.ok()) return address.status();
    absl::StatusOr<std::shared_ptr<ListenGroup>> group =
        input.sockets->Bind(*address, OptionsOf(config, spec));
    if (!group.ok()) return group.status();
    out->sockets.push_back(*std::move(group));
  }
  return absl::OkStatus();
}

// Builds the network filters and what ends the chain: an HTTP connection manager, a TCP proxy, or
// the last of the filters.
absl::Status BuildFilters(const ListenerInput& input, const std::string& prefix,
                          ServedChain* chain) {
  const xds::FilterChain& config = *chain->config;
  for (const xds::NetworkFilter& filter : config.filters) {
    if (filter.http != nullptr) {
      HttpServiceInput http;
      http.config = filter.http;
      http.stats = input.stats;
      http.log_files = input.logs;
      http.listener_stat_prefix = prefix;
      http.buffer_limit = input.config->per_connection_buffer_limit;
      http.host_address = input.host_address;
      http.node_id = input.node_id;
      http.service_cluster = input.service_cluster;
      absl::StatusOr<std::shared_ptr<const HttpService>> service = HttpService::Make(http);
      if (!service.ok()) return service.status();
      chain->http = *std::move(service);
    } else if (filter.tcp != nullptr) {
      auto settings = std::make_shared<TcpProxySettings>();
      settings->config = filter.tcp;
      settings->stats = input.stats->Register(absl::StrCat("tcp.", filter.tcp->stat_prefix, "."),
                                              TcpStatSchema());
      chain->tcp = std::move(settings);
      absl::StatusOr<AccessLog> log = AccessLog::Make(filter.tcp->access_logs, *input.logs);
      if (!log.ok()) return log.status();
      chain->tcp_log = *std::move(log);
    } else {
      absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> factory =
          MakeNetworkFactory(filter, {input.stats, input.buckets});
      if (!factory.ok()) return factory.status();
      chain->network.push_back(*std::move(factory));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ServedChain>> BuildChain(
    const ListenerInput& input, const std::string& prefix,
    const std::shared_ptr<const xds::FilterChain>& config) {
  auto chain = std::make_shared<ServedChain>();
  chain->config = config;
  absl::Status status = BuildFilters(input, prefix, chain.get());
  if (!status.ok()) return status;
  if (config->tls != nullptr) {
    chain->wants_tls = true;
    chain->tls_factory = input.stats->Register(absl::StrCat(prefix, "server_ssl_socket_factory."),
                                               SslFactoryStatSchema());
    absl::StatusOr<std::shared_ptr<const ServerTlsContext>> tls = input.tls(*config->tls, prefix);
    if (!tls.ok()) return tls.status();
    chain->tls = *std::move(tls);
  }
  return std::shared_ptr<const ServedChain>(std::move(chain));
}

// A chain of the previous state that is configured just the same, or null.
std::shared_ptr<const ServedChain> Reusable(const ListenerInput& input,
                                            const xds::FilterChain& config) {
  if (input.previous == nullptr) return nullptr;
  for (const auto& [known, chain] : input.previous->chains) {
    if (known == &config || (!config.key.empty() && known->key == config.key)) return chain;
  }
  return nullptr;
}

absl::Status AddChain(const ListenerInput& input, const std::string& prefix,
                      const std::shared_ptr<const xds::FilterChain>& config, ServedListener* out) {
  std::shared_ptr<const ServedChain> kept = Reusable(input, *config);
  if (kept != nullptr && !(input.refresh_tls && kept->wants_tls)) {
    out->chains.emplace(config.get(), std::move(kept));
    return absl::OkStatus();
  }
  if (kept != nullptr) {
    // Only the certificates changed: connections that stand go on with what they have.
    auto renewed = std::make_shared<ServedChain>(*kept);
    absl::StatusOr<std::shared_ptr<const ServerTlsContext>> tls = input.tls(*config->tls, prefix);
    if (!tls.ok()) return tls.status();
    renewed->tls = *std::move(tls);
    out->chains.emplace(config.get(), std::move(renewed));
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<const ServedChain>> chain = BuildChain(input, prefix, config);
  if (!chain.ok()) return chain.status();
  out->chains.emplace(config.get(), *std::move(chain));
  return absl::OkStatus();
}

}  // namespace

bool ConnectionBudget::MayOpen(const Runtime* runtime) const {
  uint64_t most = UINT64_MAX;
  if (limit) {
    most = *limit;
  } else if (runtime != nullptr) {
    most = runtime->Integer("overload.global_downstream_max_connections", UINT64_MAX);
  }
  return open.load(std::memory_order_relaxed) < most;
}

std::string ListenerStatName(const xds::Listener& config) {
  if (!config.stat_prefix.empty()) return config.stat_prefix;
  return absl::StrReplaceAll(config.address.ToString(), {{":", "_"}});
}

const ServedChain* ServedListener::ChainFor(const xds::ConnectionFacts& facts) const {
  const xds::FilterChain* chosen = config->Match(facts);
  if (chosen == nullptr) return nullptr;
  const auto found = chains.find(chosen);
  return found == chains.end() ? nullptr : found->second.get();
}

absl::StatusOr<std::shared_ptr<const ServedListener>> BuildListener(const ListenerInput& input) {
  auto listener = std::make_shared<ServedListener>();
  listener->config = input.config;
  const std::string prefix = absl::StrCat("listener.", ListenerStatName(*input.config), ".");
  absl::Status status = BindAll(input, listener.get());
  if (!status.ok()) return status;
  const bool same_sockets = input.previous != nullptr &&
                            input.previous->sockets == listener->sockets &&
                            input.previous->config->socket_key == input.config->socket_key;
  listener->id = same_sockets ? input.previous->id : next_listener_id++;
  listener->open = same_sockets ? input.previous->open : std::make_shared<std::atomic<uint64_t>>(0);
  listener->limit_key =
      absl::StrCat("envoy.resource_limits.listener.", input.config->name, ".connection_limit");
  listener->process =
      input.process != nullptr ? input.process : std::make_shared<ConnectionBudget>(std::nullopt);
  listener->filter_stats =
      RegisterListenerFilterStats(input.config->listener_filters, *input.stats);
  listener->stats = input.stats->Register(prefix, ListenerStatSchema());
  for (size_t i = 0; i < input.workers; ++i) {
    listener->worker_stats.push_back(
        input.stats->Register(absl::StrCat(prefix, "worker_", i, "."), ListenerWorkerStatSchema()));
  }
  absl::StatusOr<AccessLog> log = AccessLog::Make(input.config->access_logs, *input.logs);
  if (!log.ok()) return log.status();
  listener->access_log = *std::move(log);
  for (const auto& chain : input.config->filter_chains) {
    status = AddChain(input, prefix, chain, listener.get());
    if (!status.ok()) return status;
  }
  if (input.config->default_filter_chain != nullptr) {
    status = AddChain(input, prefix, input.config->default_filter_chain, listener.get());
    if (!status.ok()) return status;
  }
  return std::shared_ptr<const ServedListener>(std::move(listener));
}

}  // namespace remora::proxy
