#ifndef REMORA_TESTS_SUPPORT_CERTS_H_
#define REMORA_TESTS_SUPPORT_CERTS_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <string>
#include <vector>

#include "xds/secret.h"

namespace remora::testing {

// A certificate made for a test, with its key.
struct TestCertificate {
  std::string pem;
  std::string key_pem;
  bssl::UniquePtr<X509> x509;
  bssl::UniquePtr<EVP_PKEY> key;

  // As configuration gives it inline.
  xds::TlsCertificate AsConfig() const;
  std::string Sha256() const;  // raw bytes
};

struct CertificateRequest {
  std::string common_name = "test";
  // As OpenSSL's configuration writes them: "DNS:a.b", "URI:spiffe://x/y", "IP:127.0.0.1",
  // "email:a@b".
  std::vector<std::string> sans;
  bool ca = false;
  bool rsa = false;
  bool key_usage = true;
  int64_t valid_from_s = -3600;  // from now
  int64_t valid_for_s = 86400;
};

// Signed by `issuer`, or by itself.
TestCertificate MakeCertificate(const CertificateRequest& request,
                                const TestCertificate* issuer = nullptr);
// A list of revoked certificates, in PEM.
std::string MakeCrl(const TestCertificate& issuer,
                    const std::vector<const TestCertificate*>& revoked);

xds::DataSource Inline(const std::string& bytes);

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_CERTS_H_
