#include <openssl/base.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

// Calls fn(one) for each, and returns those that were refused.
template <typename Fn>
std::string Refused(const std::vector<std::string>& list, Fn fn) {
  std::vector<std::string> bad;
  for (const std::string& one : list) {
    if (!fn(one.c_str())) bad.push_back(one);
  }
  ERR_clear_error();
  return absl::StrJoin(bad, ", ");
}

}  // namespace

void CheckTlsParameters(const CommonTls& tls, ParseContext& context) {
  if (tls.cipher_suites.empty() && tls.ecdh_curves.empty() && tls.signature_algorithms.empty()) {
    return;
  }
  bssl::UniquePtr<SSL_CTX> ssl(SSL_CTX_new(TLS_method()));
  if (!tls.cipher_suites.empty() &&
      !SSL_CTX_set_strict_cipher_list(ssl.get(), absl::StrJoin(tls.cipher_suites, ":").c_str())) {
    const std::string bad = Refused(tls.cipher_suites, [&](const char* one) {
      return SSL_CTX_set_strict_cipher_list(ssl.get(), one);
    });
    context.ErrorAt(
        "cipher_suites",
        absl::StrCat("Failed to initialize cipher suites ", absl::StrJoin(tls.cipher_suites, ":"),
                     ". The following ciphers were rejected when tried individually: ", bad));
  }
  const std::string curves = absl::StrJoin(tls.ecdh_curves, ":");
  if (!curves.empty() && !SSL_CTX_set1_curves_list(ssl.get(), curves.c_str())) {
    context.ErrorAt("ecdh_curves", absl::StrCat("Failed to initialize ECDH curves ", curves));
  }
  const std::string algorithms = absl::StrJoin(tls.signature_algorithms, ":");
  if (!algorithms.empty() && !SSL_CTX_set1_sigalgs_list(ssl.get(), algorithms.c_str())) {
    context.ErrorAt("signature_algorithms",
                    absl::StrCat("Failed to initialize TLS signature algorithms ", algorithms));
  }
  ERR_clear_error();
}

}  // namespace remora::xds
