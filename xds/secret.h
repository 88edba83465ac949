#ifndef REMORA_XDS_SECRET_H_
#define REMORA_XDS_SECRET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/matchers.h"
#include "xds/config_source.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class DataSource;
}
namespace envoy::extensions::transport_sockets::tls::v3 {
class CertificateValidationContext;
class GenericSecret;
class Secret;
class SdsSecretConfig;
class TlsCertificate;
class TlsSessionTicketKeys;
}  // namespace envoy::extensions::transport_sockets::tls::v3

namespace remora::xds {

// Bytes that configuration gives inline, in a file or in an environment variable. Files are read
// when the resource is parsed; `file` stays known so that a change of it can be watched for.
struct DataSource {
  std::string bytes;
  std::string file;               // empty: not from a file
  std::string watched_directory;  // of the data source itself
  bool set = false;

  explicit operator bool() const { return set; }
};

struct TlsCertificate {
  DataSource certificate_chain;  // PEM
  DataSource private_key;        // PEM
  DataSource pkcs12;
  DataSource password;
  DataSource ocsp_staple;         // DER
  std::string watched_directory;  // a move in it reloads chain and key together

  // Every file this was read from.
  std::vector<std::string> Files() const;
};

enum class SanType { kEmail, kDns, kUri, kIp, kOther };

struct SanMatcher {
  std::optional<SanType> type;  // none: the old untyped form, which tries every kind
  StringMatcher matcher;
  std::string oid;  // of an other-name
};

struct TrustDomain {
  std::string name;
  DataSource bundle;  // PEM
};

// What a peer's certificate must satisfy.
struct ValidationContext {
  DataSource trusted_ca;  // PEM
  bool system_roots = false;
  std::string watched_directory;
  std::vector<SanMatcher> san_matchers;         // any one suffices; empty: none is asked for
  std::vector<std::string> certificate_hashes;  // SHA-256 of the DER, 32 raw bytes each
  std::vector<std::string> spki_hashes;         // SHA-256 of the SPKI, 32 raw bytes each
  DataSource crl;                               // PEM
  bool only_verify_leaf_crl = false;
  bool allow_expired = false;
  bool accept_untrusted = false;  // trust_chain_verification: ACCEPT_UNTRUSTED
  std::optional<uint32_t> max_verify_depth;
  // The SPIFFE validator: replaces trusted_ca when not empty.
  std::vector<TrustDomain> trust_domains;

  std::vector<std::string> Files() const;
};

struct SessionTicketKeys {
  std::vector<DataSource> keys;  // 80 bytes each, the first encrypts
};

struct GenericSecret {
  DataSource secret;
};

// A secret's name and where it comes from. With no source the name refers to a static secret.
struct SecretRef {
  std::string name;
  ConfigSource source;
};

// One SDS resource, or one of the bootstrap's static secrets.
struct Secret {
  std::string name;
  std::variant<TlsCertificate, ValidationContext, SessionTicketKeys, GenericSecret> value;
  std::string original;  // the serialized resource, for /config_dump; holds key material: redact

  static absl::StatusOr<std::shared_ptr<const Secret>> Parse(
      const envoy::extensions::transport_sockets::tls::v3::Secret& proto, ParseContext& context);

  // The same secret with its files read again; error when one cannot be read or they do not agree.
  absl::StatusOr<std::shared_ptr<const Secret>> Reload() const;
  std::vector<std::string> Files() const;
};

DataSource ParseDataSource(const envoy::config::core::v3::DataSource& proto, ParseContext& context);
TlsCertificate ParseTlsCertificate(
    const envoy::extensions::transport_sockets::tls::v3::TlsCertificate& proto,
    ParseContext& context);
ValidationContext ParseValidationContext(
    const envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext& proto,
    ParseContext& context);
SessionTicketKeys ParseSessionTicketKeys(
    const envoy::extensions::transport_sockets::tls::v3::TlsSessionTicketKeys& proto,
    ParseContext& context);
SecretRef ParseSecretRef(
    const envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig& proto,
    ParseContext& context);

// What no peer could satisfy or what would be insecure: names without a trusted
// CA, and the like. To be asked of the whole, after merging.
absl::Status CheckValidation(const ValidationContext& validation);
// Whether chain and key parse and belong together. (BoringSSL; any thread.)
absl::Status CheckCertificate(const TlsCertificate& certificate);

// The default context with the dynamic one merged over it, as combined_validation_context asks:
// set fields of `dynamic` win, repeated ones are appended.
ValidationContext MergeValidation(const ValidationContext& base, const ValidationContext& dynamic);

}  // namespace remora::xds

#endif  // REMORA_XDS_SECRET_H_
