#ifndef REMORA_PROXY_NET_CERTIFICATE_H_
#define REMORA_PROXY_NET_CERTIFICATE_H_

#include <openssl/base.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/net/certificate_facts.h"
#include "xds/secret.h"

namespace remora::proxy {

// Names that a certificate is for, as text.
struct SubjectNames {
  std::vector<std::string> uri;
  std::vector<std::string> dns;
  std::vector<std::string> ip;
  std::vector<std::string> email;
  struct OtherName {
    std::string oid;
    std::string value;
  };
  std::vector<OtherName> other;
  // All values in the order of the certificate; for messages.
  std::vector<std::string> all;
};

// Reading certificates. Any thread; errors are worded as Envoy's.
SubjectNames NamesOf(X509* certificate);
std::string CommonNameOf(X509* certificate);
std::string SubjectOf(X509* certificate);  // RFC 2253
std::string IssuerOf(X509* certificate);   // RFC 2253
std::string SerialOf(X509* certificate);   // lower-case hex
// Lower-case hex of a digest of the whole certificate.
std::string FingerprintSha256(X509* certificate);
std::string FingerprintSha1(X509* certificate);
std::string PemOf(X509* certificate);
int64_t ValidFrom(X509* certificate);  // seconds since the epoch
int64_t ValidUntil(X509* certificate);
CertificateFacts FactsOf(X509* certificate, const xds::DataSource& source);

// Every certificate of a PEM text; none when it holds no certificate at all or a broken one.
std::vector<bssl::UniquePtr<X509>> ReadPem(const std::string& pem);

// The name of a certificate, which may begin with "*.", covers `name` (RFC 6125: the wildcard
// stands for one whole label). Case does not matter.
bool DnsNameCovers(absl::string_view pattern, absl::string_view name);

// A certificate of our own: chain, key and what is stapled to it.
struct Identity {
  bssl::UniquePtr<SSL_CREDENTIAL> credential;
  bssl::UniquePtr<X509> leaf;
  std::vector<std::string> server_names;  // DNS SANs, or the common name; lower-case
  bool ecdsa = false;
  CertificateFacts facts;
};
absl::StatusOr<Identity> LoadIdentity(const xds::TlsCertificate& certificate);

// Drains this thread's error queue into one line; "" when it was empty.
std::string DrainErrors();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_CERTIFICATE_H_
