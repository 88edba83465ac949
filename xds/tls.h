#ifndef REMORA_XDS_TLS_H_
#define REMORA_XDS_TLS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "xds/parse_context.h"
#include "xds/secret.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class CommonTlsContext;
class DownstreamTlsContext;
class UpstreamTlsContext;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace remora::xds {

enum class TlsVersion { kAuto, k10, k11, k12, k13 };

struct TlsKeyLog {
  std::string path;  // empty: no key log
  std::vector<CidrRange> local_ranges;
  std::vector<CidrRange> remote_ranges;
};

struct CommonTls {
  // kAuto: 1.2 to 1.3 for servers, 1.2 only for clients.
  TlsVersion min_version = TlsVersion::kAuto;
  TlsVersion max_version = TlsVersion::kAuto;
  std::vector<std::string> cipher_suites;  // BoringSSL syntax; empty: the default list
  std::vector<std::string> ecdh_curves;    // empty: X25519, P-256
  std::vector<std::string> signature_algorithms;
  bool fips_policy = false;  // compliance policy FIPS_202205
  std::vector<std::string> alpn;

  std::vector<TlsCertificate> certificates;
  std::vector<SecretRef> certificate_refs;

  // With both, the referenced one is merged over the inline one (MergeValidation).
  std::optional<ValidationContext> validation;
  std::optional<SecretRef> validation_ref;

  TlsKeyLog key_log;

  bool NeedsSecrets() const { return !certificate_refs.empty() || validation_ref.has_value(); }
};

// Whether BoringSSL knows the cipher suites, curves and signature algorithms.
void CheckTlsParameters(const CommonTls& tls, ParseContext& context);

struct DownstreamTls {
  enum class OcspPolicy { kLenient, kStrict, kMust };

  CommonTls common;
  bool require_client_certificate = false;
  std::optional<SessionTicketKeys> ticket_keys;
  std::optional<SecretRef> ticket_keys_ref;
  bool disable_stateless_resumption = false;
  bool disable_stateful_resumption = false;
  std::optional<absl::Duration> session_timeout;
  OcspPolicy ocsp_policy = OcspPolicy::kLenient;
  bool full_scan_certs_on_sni_mismatch = false;
  bool prefer_client_ciphers = false;
  std::string key;  // serialized original: equal keys may share one TLS context

  static absl::StatusOr<std::shared_ptr<const DownstreamTls>> Parse(
      const envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext& proto,
      ParseContext& context);
};

struct UpstreamTls {
  CommonTls common;
  std::string sni;
  bool auto_host_sni = false;
  bool auto_sni_san_validation = false;
  bool allow_renegotiation = false;
  uint32_t max_session_keys = 1;
  std::optional<bool> enforce_rsa_key_usage;
  std::string key;  // serialized original: equal keys may share one TLS context

  static absl::StatusOr<std::shared_ptr<const UpstreamTls>> Parse(
      const envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext& proto,
      ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_TLS_H_
