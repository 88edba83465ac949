#include "xds/control/bootstrap.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "xds/control/services_yaml.h"
#include "xds/control/tokens.h"

namespace remora::control {
namespace {

constexpr char kHead[] = R"(# Bootstrap of @NAME@ for `remora -c` (or `envoy -c`).
# It holds a secret: who has this file can be @NAME@ in the mesh.
node:
  id: @ID@
  cluster: @QNAME@
dynamic_resources:
  ads_config:
    api_type: @API@
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services:
      - envoy_grpc: {cluster_name: control}
@METADATA@  cds_config: {ads: {}, resource_api_version: V3}
  lds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
    - name: control
      type: @TYPE@
      connect_timeout: 2s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              connection_keepalive: {interval: 30s, timeout: 5s}
      load_assignment:
        cluster_name: control
        endpoints:
          - lb_endpoints:
              - endpoint: {address: @ADDRESS@}
)";

constexpr char kTls[] = R"(      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: @SNI@
          common_tls_context:
            alpn_protocols: [h2]
            validation_context:
              trusted_ca:
                inline_string: |
@BUNDLE@              match_typed_subject_alt_names:
                - {san_type: URI, matcher: {exact: @CONTROL_ID@}}
)";

constexpr char kMetadata[] = R"(        initial_metadata:
          - {key: authorization, value: @BEARER@}
)";

// YAML's double-quoted style is JSON's for these texts.
std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

std::string Socket(const Address& address) {
  return absl::StrCat("{socket_address: {address: ", Quote(address.host),
                      ", port_value: ", address.port, "}}");
}

std::string Indent(absl::string_view text, size_t width) {
  std::string out;
  const std::string margin(width, ' ');
  size_t from = 0;
  while (from < text.size()) {
    const size_t end = std::min(text.find('\n', from), text.size());
    absl::StrAppend(&out, margin, text.substr(from, end - from), "\n");
    from = end + 1;
  }
  return out;
}

// The admin page may take a free port, which ParseAddress does not know.
absl::StatusOr<std::string> AdminSection(const std::string& admin) {
  absl::string_view host(admin);
  const bool free_port = absl::ConsumeSuffix(&host, ":0");
  absl::StatusOr<Address> address = ParseAddress(free_port ? absl::StrCat(host, ":1") : admin);
  if (!address.ok()) return address.status();
  if (free_port) address->port = 0;
  return absl::StrCat("admin:\n  address: ", Socket(*address), "\n");
}

bool IsPlain(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isprint(c); });
}

}  // namespace

absl::StatusOr<std::string> MakeBootstrap(const BootstrapOptions& options) {
  if (!IsNodeName(options.name)) {
    return absl::InvalidArgumentError(absl::StrCat("'", options.name, "' is no service's name"));
  }
  if (!IsPlain(options.instance) || !IsPlain(options.control)) {
    return absl::InvalidArgumentError("control characters in an option");
  }
  const bool local = absl::StartsWith(options.control, "unix:");
  std::string where;
  bool by_name = false;
  if (local) {
    where = absl::StrCat("{pipe: {path: ", Quote(options.control.substr(5)), "}}");
  } else {
    absl::StatusOr<Address> control = ParseAddress(absl::string_view(options.control));
    if (!control.ok()) return control.status();
    where = Socket(*control);
    by_name = !control->is_ip;
  }
  std::string text = kHead;
  if (!local) absl::StrAppend(&text, kTls);
  if (!options.admin.empty()) {
    absl::StatusOr<std::string> admin = AdminSection(options.admin);
    if (!admin.ok()) return admin.status();
    absl::StrAppend(&text, *admin);
  }
  const std::string id =
      options.instance.empty() ? options.name : absl::StrCat(options.name, "~", options.instance);
  return absl::StrReplaceAll(
      text,
      {{"@NAME@", options.name},
       {"@QNAME@", Quote(options.name)},
       {"@ID@", Quote(id)},
       {"@API@", options.delta ? "DELTA_GRPC" : "GRPC"},
       {"@METADATA@",
        local ? ""
              : absl::StrReplaceAll(kMetadata,
                                    {{"@BEARER@", Quote(absl::StrCat("Bearer ", options.token))}})},
       {"@TYPE@", by_name ? "STRICT_DNS" : "STATIC"},
       {"@ADDRESS@", where},
       {"@SNI@", Quote(options.server_name)},
       {"@BUNDLE@", Indent(options.bundle, 18)},
       {"@CONTROL_ID@", Quote(options.control_id)}});
}

}  // namespace remora::control
