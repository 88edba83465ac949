#include "proxy/net/tls_stats.h"

#include <array>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

constexpr StatDef kFixed[] = {
    {"connection_error", StatKind::kCounter},      {"fail_verify_cert_hash", StatKind::kCounter},
    {"fail_verify_error", StatKind::kCounter},     {"fail_verify_no_cert", StatKind::kCounter},
    {"fail_verify_san", StatKind::kCounter},       {"handshake", StatKind::kCounter},
    {"no_certificate", StatKind::kCounter},        {"ocsp_staple_failed", StatKind::kCounter},
    {"ocsp_staple_omitted", StatKind::kCounter},   {"ocsp_staple_requests", StatKind::kCounter},
    {"ocsp_staple_responses", StatKind::kCounter}, {"session_reused", StatKind::kCounter},
};
constexpr size_t kFixedCount = static_cast<size_t>(TlsStat::kFirstNamed);
static_assert(std::size(kFixed) == kFixedCount);

constexpr absl::string_view kNegotiated[] = {
    "versions.TLSv1",
    "versions.TLSv1.1",
    "versions.TLSv1.2",
    "versions.TLSv1.3",
    "versions.unknown",
    "ciphers.TLS_AES_128_GCM_SHA256",
    "ciphers.TLS_AES_256_GCM_SHA384",
    "ciphers.TLS_CHACHA20_POLY1305_SHA256",
    "ciphers.ECDHE-ECDSA-AES128-GCM-SHA256",
    "ciphers.ECDHE-ECDSA-AES256-GCM-SHA384",
    "ciphers.ECDHE-ECDSA-CHACHA20-POLY1305",
    "ciphers.ECDHE-ECDSA-AES128-SHA",
    "ciphers.ECDHE-ECDSA-AES256-SHA",
    "ciphers.ECDHE-RSA-AES128-GCM-SHA256",
    "ciphers.ECDHE-RSA-AES256-GCM-SHA384",
    "ciphers.ECDHE-RSA-CHACHA20-POLY1305",
    "ciphers.ECDHE-RSA-AES128-SHA",
    "ciphers.ECDHE-RSA-AES256-SHA",
    "ciphers.AES128-GCM-SHA256",
    "ciphers.AES256-GCM-SHA384",
    "ciphers.AES128-SHA",
    "ciphers.AES256-SHA",
    "ciphers.unknown",
    "curves.P-256",
    "curves.P-384",
    "curves.P-521",
    "curves.X25519",
    "curves.X25519MLKEM768",
    "curves.unknown",
    "sigalgs.ecdsa_secp256r1_sha256",
    "sigalgs.ecdsa_secp384r1_sha384",
    "sigalgs.ecdsa_secp521r1_sha512",
    "sigalgs.ecdsa_sha1",
    "sigalgs.ed25519",
    "sigalgs.rsa_pkcs1_sha1",
    "sigalgs.rsa_pkcs1_sha256",
    "sigalgs.rsa_pkcs1_sha384",
    "sigalgs.rsa_pkcs1_sha512",
    "sigalgs.rsa_pss_rsae_sha256",
    "sigalgs.rsa_pss_rsae_sha384",
    "sigalgs.rsa_pss_rsae_sha512",
    "sigalgs.unknown",
};

constexpr std::array<StatDef, kFixedCount + std::size(kNegotiated)> MakeSchema() {
  std::array<StatDef, kFixedCount + std::size(kNegotiated)> schema{};
  for (size_t i = 0; i < kFixedCount; ++i) schema[i] = kFixed[i];
  for (size_t i = 0; i < std::size(kNegotiated); ++i) {
    schema[kFixedCount + i] = {kNegotiated[i], StatKind::kRareCounter};
  }
  return schema;
}
constexpr auto kSchema = MakeSchema();

}  // namespace

const StatBlock* RegisterTlsStats(StatStore& stats, absl::string_view prefix) {
  return stats.Register(absl::StrCat(prefix, "ssl."), kSchema);
}

void CountNegotiated(const StatScope<TlsStat>& scope, absl::string_view family,
                     absl::string_view name) {
  size_t unknown = 0;
  for (size_t i = 0; i < std::size(kNegotiated); ++i) {
    absl::string_view known = kNegotiated[i];
    if (known.substr(0, family.size()) != family) continue;
    known.remove_prefix(family.size());
    if (known == name) {
      scope.Add(static_cast<TlsStat>(kFixedCount + i));
      return;
    }
    if (known == "unknown") unknown = i;
  }
  scope.Add(static_cast<TlsStat>(kFixedCount + unknown));
}

}  // namespace remora::proxy
