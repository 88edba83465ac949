#ifndef REMORA_PROXY_STREAM_REQUEST_HEADERS_H_
#define REMORA_PROXY_STREAM_REQUEST_HEADERS_H_

#include <cstdint>
#include <string>

#include "filters/api/address.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "xds/http_connection_manager.h"
#include "xds/route.h"

namespace remora::proxy {

// What the connection manager knows when a request's headers are made fit to be routed.
struct RequestContext {
  const xds::HttpConnectionManager& config;
  const ConnectionInfo& connection;
  const Address& host_address;  // of this machine
  const std::string& node_id;
  const std::string& service_cluster;  // of the node: add_user_agent
  const xds::RouteTable* routes;       // for internal_only_headers; may be null
  bool upgrade = false;                // keeps its upgrade field
  uint64_t random_high = 0;
  uint64_t random_low = 0;
};

struct ClientVerdict {
  Address remote;         // the client, as far as it can be trusted
  bool internal = false;  // a single trusted address inside internal_address_config
  bool edge = false;      // external, and this proxy is the first to see it
  int reject_status = 0;  // no address was found and there must be one: answer with this
};

// Sanitises and completes request headers in Envoy's order: hop-by-hop fields, referer,
// X-Forwarded-*, scheme, x-envoy-*, user agent, via, request id, client certificate.
ClientVerdict PrepareRequestHeaders(const RequestContext& context, Headers& request);

// The client as the first of the connection manager's detections that finds one has it.
struct DetectedClient {
  Address address;
  bool found = false;
  bool trusted = false;     // the address may make the request internal
  bool append_xff = false;  // the peer is added to X-Forwarded-For
  int reject_status = 0;
};
DetectedClient DetectClient(const xds::HttpConnectionManager& config, const Address& peer,
                            const Headers& request);

// X-Forwarded-Client-Cert alone.
void PrepareClientCert(const xds::HttpConnectionManager& config, const TlsFacts* tls,
                       Headers& request);

// The address `hops` places from the right of X-Forwarded-For; nothing when there are fewer, or it
// is no address. `single`: the field holds one address.
struct ForwardedAddress {
  Address address;
  bool found = false;
  bool single = false;
};
ForwardedAddress AddressFromXff(const Headers& request, uint32_t hops);

// Appends "value" to the via field.
void AppendVia(const std::string& via, Headers& headers);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_REQUEST_HEADERS_H_
