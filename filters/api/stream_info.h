#ifndef REMORA_FILTERS_API_STREAM_INFO_H_
#define REMORA_FILTERS_API_STREAM_INFO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/address.h"
#include "filters/api/response_flag.h"

namespace remora {

class Headers;
struct FilterState;
struct Metadata;

enum class Protocol : uint8_t { kNone, kHttp10, kHttp11, kHttp2 };

// "HTTP/1.0", "HTTP/1.1", "HTTP/2"; "" for none.
absl::string_view ProtocolName(Protocol protocol);

// What a finished TLS handshake settled, for formatters, XFCC and authorisation. Immutable after
// the handshake; owned by the connection.
struct TlsFacts {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_128_GCM_SHA256"
  std::string group;    // of the key exchange, "X25519"
  std::string alpn;
  std::string sni;
  std::string session_id;
  bool peer_certificate_presented = false;
  bool peer_certificate_validated = false;
  std::vector<std::string> peer_uri_sans;
  std::vector<std::string> peer_dns_sans;
  std::vector<std::string> peer_ip_sans;
  std::vector<std::string> peer_email_sans;
  std::string peer_subject;  // RFC 2253
  std::string peer_issuer;
  std::string peer_serial;              // hex
  std::string peer_fingerprint_sha256;  // hex
  std::string peer_fingerprint_sha1;    // hex
  std::string peer_certificate_pem;     // URL-encoded, as XFCC carries it
  std::string peer_chain_pem;           // URL-encoded
  int64_t peer_valid_from = 0;          // seconds since the epoch
  int64_t peer_valid_until = 0;
  std::vector<std::string> local_uri_sans;
  std::vector<std::string> local_dns_sans;
  std::vector<std::string> local_ip_sans;
  // Of every certificate that the peer sent, the leaf first.
  std::vector<std::string> chain_fingerprints_sha256;
  std::vector<std::string> chain_fingerprints_sha1;
  std::vector<std::string> chain_serials;
  std::string local_subject;
};

// What is known of a connection as a whole. Owned by the connection; a stream refers to it.
struct ConnectionInfo {
  uint64_t id = 0;
  // The peer of the socket, and the client as PROXY protocol or the listener filters say.
  Address direct_remote;
  Address remote;
  // Where the client meant to go (original destination restored) or the socket's own address.
  Address local;
  bool local_restored = false;  // a listener filter put it there
  absl::string_view
      requested_server_name;  // of the ClientHello, known through tls_inspector or TLS
  absl::string_view filter_chain_name;
  absl::string_view listener_name;
  // Of the configuration; null when there is none.
  const Metadata* listener_metadata = nullptr;
  const Metadata* filter_chain_metadata = nullptr;
  absl::string_view transport_protocol;  // "raw_buffer", "tls"
  const TlsFacts* tls = nullptr;  // null without TLS or before the handshake ended, well or not
  absl::string_view transport_failure_reason;
  absl::string_view termination_details;
  absl::string_view local_close_reason;
  const FilterState* filter_state = nullptr;  // what network filters noted; null: nothing
  int64_t handshake_done_ns = 0;              // monotonic; 0 when there was none
};

// Points in time of one exchange, monotonic nanoseconds of the loop's clock; 0 when not reached.
struct StreamTiming {
  int64_t start_system_ns = 0;  // wall clock at the first byte of the request
  int64_t start_ns = 0;
  int64_t request_end_ns = 0;  // last byte received from downstream
  int64_t upstream_connect_start_ns = 0;
  int64_t upstream_connect_end_ns = 0;
  int64_t upstream_handshake_end_ns = 0;
  int64_t upstream_pool_ready_ns = 0;  // a connection was got, or could not be
  int64_t upstream_first_tx_ns = 0;
  int64_t upstream_last_tx_ns = 0;
  int64_t upstream_first_rx_ns = 0;
  int64_t upstream_last_rx_ns = 0;
  int64_t downstream_first_tx_ns = 0;
  int64_t downstream_last_tx_ns = 0;
  int64_t end_ns = 0;
};

// Text in this struct lives in the stream's arena, in the configuration that the stream pins, or is
// static. One exchange (HTTP request or TCP session) fills it as it goes; filters and formatters
// read it.
struct StreamInfo {
  const ConnectionInfo* downstream = nullptr;
  // The client as the connection manager concluded (use_remote_address, XFF, extensions).
  Address remote;
  StreamTiming timing;
  Protocol protocol = Protocol::kNone;
  int response_code = 0;
  absl::string_view response_code_details;  // "" prints as "-"
  ResponseFlags flags;
  uint64_t bytes_received = 0;  // body bytes from downstream
  uint64_t bytes_sent = 0;      // body bytes to downstream
  uint64_t request_headers_bytes = 0;
  uint64_t response_headers_bytes = 0;
  uint64_t response_trailers_bytes = 0;
  uint64_t stream_id = 0;
  absl::string_view request_id;
  absl::string_view route_name;
  absl::string_view virtual_host_name;
  absl::string_view virtual_cluster_name;
  absl::string_view upstream_cluster;      // observability name
  absl::string_view upstream_cluster_raw;  // configured name
  absl::string_view upstream_host;         // "ip:port"
  absl::string_view upstream_host_name;
  // Hosts that a connection was got for, their names and those connections; lists with commas.
  absl::string_view upstream_hosts_attempted;
  absl::string_view upstream_host_names_attempted;
  absl::string_view upstream_connections_attempted;
  Address upstream_remote;
  Address upstream_local;
  Protocol upstream_protocol = Protocol::kNone;
  uint64_t upstream_connection_id = 0;
  const TlsFacts* upstream_tls = nullptr;
  absl::string_view upstream_transport_failure_reason;
  // Wire bytes by direction, headers and framing included.
  uint64_t upstream_wire_sent = 0;
  uint64_t upstream_wire_received = 0;
  uint64_t downstream_wire_sent = 0;
  uint64_t downstream_wire_received = 0;
  uint64_t upstream_header_sent = 0;
  uint64_t upstream_header_received = 0;
  uint64_t downstream_header_sent = 0;
  uint64_t downstream_header_received = 0;
  // Names and values of fields before compression.
  uint64_t upstream_fields_sent = 0;
  uint64_t upstream_fields_received = 0;
  uint64_t downstream_fields_sent = 0;
  uint64_t downstream_fields_received = 0;
  uint32_t attempt_count = 0;
  uint32_t route_resolutions = 0;  // how often a route was looked up
  // Set by the admin-side health filter: such exchanges can be left out of logs.
  bool health_check = false;
  bool internal_request = false;
  // "DownstreamEnd" and its kin, set while a line is written; "NotSet" otherwise.
  absl::string_view access_log_type = "NotSet";
  // The body of a local reply, before mapping.
  absl::string_view local_reply_body;
  // What filters noted (dynamic metadata), and what configuration says of the parts chosen; null
  // when there is none.
  const Metadata* dynamic_metadata = nullptr;
  const FilterState* filter_state = nullptr;
  const Metadata* route_metadata = nullptr;
  const Metadata* virtual_host_metadata = nullptr;
  const Metadata* cluster_metadata = nullptr;
  const Metadata* upstream_metadata = nullptr;
  // Message parts, null until known; for formatters.
  const Headers* request_headers = nullptr;
  const Headers* response_headers = nullptr;
  const Headers* response_trailers = nullptr;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_STREAM_INFO_H_
