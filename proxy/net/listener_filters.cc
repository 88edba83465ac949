#include "proxy/net/listener_filters.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace remora::proxy {
namespace {

// Of the kernel's NAT: linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h.
constexpr int kOriginalDestination = 80;

constexpr absl::string_view kTls = "tls";

absl::string_view AllOf(Body& input) { return input.Linearize(input.size()); }

}  // namespace

ListenerFilterRun::Result ListenerFilterRun::Run(Connection& connection) {
  while (next_ < filters_.size()) {
    const xds::ListenerFilter& filter = filters_[next_];
    const bool off = filter.disabled && filter.disabled->Matches(connection.info().local.port());
    if (!off) {
      const Result result = RunOne(filter, connection);
      if (result != Result::kDone) return result;
    }
    ++next_;
  }
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::RunOne(const xds::ListenerFilter& filter,
                                                    Connection& connection) {
  switch (filter.kind) {
    case xds::ListenerFilter::Kind::kTlsInspector:
      return InspectTls(filter, connection);
    case xds::ListenerFilter::Kind::kHttpInspector:
      return InspectHttp(connection);
    case xds::ListenerFilter::Kind::kOriginalDst:
      return RestoreDestination(connection);
    case xds::ListenerFilter::Kind::kProxyProtocol:
      return ReadProxyHeader(filter, connection);
    case xds::ListenerFilter::Kind::kOther:
      return Result::kDone;  // refused with the listener
  }
  return Result::kReject;
}

ListenerFilterRun::Result ListenerFilterRun::InspectTls(const xds::ListenerFilter& filter,
                                                        Connection& connection) {
  switch (ParseClientHello(AllOf(connection.input()), filter.max_client_hello_size, &hello_)) {
    case HelloResult::kNeedMore:
      return Result::kNeedMore;
    case HelloResult::kTooLarge:
      return Result::kReject;
    case HelloResult::kNotTls:
      return Result::kDone;
    case HelloResult::kTls:
      break;
  }
  transport_protocol_ = kTls;
  connection.info().requested_server_name = hello_.server_name;
  application_protocols_.assign(hello_.alpn.begin(), hello_.alpn.end());
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::InspectHttp(Connection& connection) {
  if (transport_protocol_ == kTls) return Result::kDone;
  switch (GuessHttp(AllOf(connection.input()))) {
    case HttpGuess::kNeedMore:
      return Result::kNeedMore;
    case HttpGuess::kNotHttp:
      break;
    case HttpGuess::kHttp10:
      application_protocols_.assign(1, "http/1.0");
      break;
    case HttpGuess::kHttp11:
      application_protocols_.assign(1, "http/1.1");
      break;
    case HttpGuess::kHttp2:
      application_protocols_.assign(1, "h2c");
      break;
  }
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::ReadProxyHeader(const xds::ListenerFilter& filter,
                                                             Connection& connection) {
  auto header = std::make_unique<ProxyHeader>();
  switch (ParseProxyHeader(AllOf(connection.input()), header.get())) {
    case ProxyHeaderResult::kNeedMore:
      return Result::kNeedMore;
    case ProxyHeaderResult::kBroken:
      return Result::kReject;
    case ProxyHeaderResult::kNone:
      return filter.allow_without_proxy_protocol ? Result::kDone : Result::kReject;
    case ProxyHeaderResult::kHeader:
      break;
  }
  if (header->version == 1 ? !filter.allow_v1 : !filter.allow_v2) {
    // Where nobody is asked for a header, one of a version that is switched off is the stream's
    // own.
    return filter.allow_without_proxy_protocol ? Result::kDone : Result::kReject;
  }
  connection.input().Consume(header->size);
  if (header->source.kind() != Address::Kind::kNone) {
    connection.info().remote = header->source;
    connection.info().local = header->destination;
  }
  proxy_ = std::move(header);
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::RestoreDestination(Connection& connection) {
  const int descriptor = connection.stream().descriptor();
  if (descriptor < 0 || !connection.info().local.is_ip()) return Result::kDone;
  const int level = connection.info().local.kind() == Address::Kind::kIpv4 ? SOL_IP : SOL_IPV6;
  sockaddr_storage storage;
  socklen_t size = sizeof(storage);
  if (getsockopt(descriptor, level, kOriginalDestination, &storage, &size) != 0)
    return Result::kDone;
  const Address meant = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), size);
  if (meant.is_ip()) connection.info().local = meant;
  return Result::kDone;
}

}  // namespace remora::proxy
