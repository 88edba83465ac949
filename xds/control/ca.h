// The mesh's certificate authority: one P-256 root, kept on disk, that signs
// short-lived SPIFFE certificates (X.509-SVID) for the mesh's identities.
//
// Uses OpenSSL 3. Not thread-safe; the server's loop owns it.
#ifndef REMORA_XDS_CONTROL_CA_H_
#define REMORA_XDS_CONTROL_CA_H_

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace remora::control {

class StateDir;

// A key with the certificate for it, both PEM.
struct Certificate {
  std::string chain;
  std::string private_key;
  absl::Time not_before;
  absl::Time not_after;
};

class CertificateAuthority {
 public:
  // Loads the root from `state`, or makes one for `trust_domain` (10 years)
  // and stores it. An existing root of another trust domain is an error; an
  // empty `trust_domain` takes the root's, or "mesh.internal" for a new one.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> Open(const StateDir& state,
                                                                    absl::string_view trust_domain);

  ~CertificateAuthority();

  const std::string& trust_domain() const { return trust_domain_; }
  // The root as PEM: what everyone in the mesh trusts.
  const std::string& bundle() const { return bundle_; }

  // "spiffe://TRUST-DOMAIN/service/NAME"
  std::string ServiceId(absl::string_view name) const;
  // "spiffe://TRUST-DOMAIN/control": not under /service, so that no service
  // can have a certificate that passes for the control plane.
  std::string ControlId() const;
  // Its DNS name, "control.TRUST-DOMAIN", in SNI and certificate.
  std::string ControlName() const;

  // A certificate for the SPIFFE id, on a new key unless `private_key` (PEM)
  // is given. Valid from one minute ago, for clocks that are a little behind.
  absl::StatusOr<Certificate> Issue(absl::string_view spiffe_id, absl::string_view common_name,
                                    absl::Time now, absl::Duration ttl,
                                    const std::vector<std::string>& dns_names = {},
                                    absl::string_view private_key = "") const;

 private:
  CertificateAuthority() = default;
  absl::Status Load(const std::string& certificate, const std::string& key);

  std::string trust_domain_;
  std::string bundle_;
  X509* certificate_ = nullptr;
  EVP_PKEY* key_ = nullptr;
};

// A trust domain is lower-case letters, digits, dots, hyphens, underscores.
bool IsTrustDomain(absl::string_view text);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_CA_H_
