#ifndef REMORA_PROXY_NET_CERTIFICATE_FACTS_H_
#define REMORA_PROXY_NET_CERTIFICATE_FACTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace remora::proxy {

// What /certs tells of one certificate.
struct CertificateFacts {
  enum class NameKind { kDns, kUri, kIpAddress };

  std::string path;    // the file, or "<inline>"
  std::string serial;  // lower-case hex
  std::vector<std::pair<NameKind, std::string>> subject_alt_names;
  int64_t valid_from_s = 0;  // since the epoch
  int64_t expires_s = 0;
};

// The certificates of one TLS context.
struct ContextCertificates {
  std::vector<CertificateFacts> trusted;
  std::vector<CertificateFacts> chain;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_CERTIFICATE_FACTS_H_
