#include "proxy/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proxy/net/certificate.h"
#include "proxy/net/tls_sessions.h"
#include "proxy/net/tls_stats.h"

namespace remora::proxy {
namespace {

// Envoy's; equal preference inside brackets, so that a client without AES hardware gets ChaCha.
constexpr char kDefaultCiphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr char kDefaultGroups[] = "X25519MLKEM768:X25519:P-256";

std::atomic<uint64_t> next_context_id{1};

uint16_t WireVersion(xds::TlsVersion version, uint16_t automatic) {
  switch (version) {
    case xds::TlsVersion::kAuto:
      return automatic;
    case xds::TlsVersion::k10:
      return TLS1_VERSION;
    case xds::TlsVersion::k11:
      return TLS1_1_VERSION;
    case xds::TlsVersion::k12:
      return TLS1_2_VERSION;
    case xds::TlsVersion::k13:
      return TLS1_3_VERSION;
  }
  return automatic;
}

ssl_verify_result_t CheckPeer(SSL* ssl, uint8_t* alert) {
  auto* check = static_cast<TlsPeerCheck*>(SSL_get_app_data(ssl));
  check->asked = true;
  check->verdict = check->verifier->Verify(ssl, check->server_name, check->server_name_only);
  if (check->verdict.accepted) return ssl_verify_ok;
  if (check->verdict.alert != 0) *alert = check->verdict.alert;
  return ssl_verify_invalid;
}

// A session that may be resumed; the cache takes it over.
int KeepSession(SSL* ssl, SSL_SESSION* session) {
  const auto* check = static_cast<const TlsPeerCheck*>(SSL_get_app_data(ssl));
  if (check->session_scope == 0) return 0;
  TlsSessions::Local().Keep(check->session_scope, check->session_name, check->most_sessions,
                            bssl::UniquePtr<SSL_SESSION>(session));
  return 1;
}

int KeyLogIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void LogKeys(const SSL* ssl, const char* line) {
  const void* log = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), KeyLogIndex());
  static_cast<const KeyLogFile*>(log)->Write(line);
}

// The ciphers of a list that are refused when tried alone, for the error's text.
std::string RefusedCiphers(const std::vector<std::string>& ciphers) {
  std::vector<std::string> refused;
  const bssl::UniquePtr<SSL_CTX> scratch(SSL_CTX_new(TLS_method()));
  for (absl::string_view entry : ciphers) {
    if (!entry.empty() && entry.front() == '[' && entry.back() == ']')
      entry = entry.substr(1, entry.size() - 2);
    for (absl::string_view cipher : absl::StrSplit(entry, '|')) {
      if (!SSL_CTX_set_strict_cipher_list(scratch.get(), std::string(cipher).c_str()))
        refused.emplace_back(cipher);
    }
  }
  ERR_clear_error();
  return absl::StrJoin(refused, ", ");
}

}  // namespace

TlsContext::TlsContext(bool server)
    : server_(server),
      id_(next_context_id.fetch_add(1, std::memory_order_relaxed)),
      ssl_ctx_(SSL_CTX_new(TLS_method())) {
  // Peers' certificates that are alike are kept once in the process.
  static CRYPTO_BUFFER_POOL* const pool = CRYPTO_BUFFER_POOL_new();
  SSL_CTX_set0_buffer_pool(ssl_ctx_, pool);
}

TlsContext::~TlsContext() { SSL_CTX_free(ssl_ctx_); }

absl::Status TlsContext::SetVersions(const xds::CommonTls& tls) {
  // Without being asked for 1.3, clients stay at 1.2, as Envoy's do.
  const uint16_t newest = server_ ? TLS1_3_VERSION : TLS1_2_VERSION;
  const uint16_t lowest = WireVersion(tls.min_version, TLS1_2_VERSION);
  const uint16_t highest = WireVersion(tls.max_version, newest);
  if (!SSL_CTX_set_min_proto_version(ssl_ctx_, lowest) ||
      !SSL_CTX_set_max_proto_version(ssl_ctx_, highest)) {
    ERR_clear_error();
    return absl::InvalidArgumentError("Failed to set the TLS protocol versions");
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetAlgorithms(const xds::CommonTls& tls) {
  const std::string ciphers =
      tls.cipher_suites.empty() ? kDefaultCiphers : absl::StrJoin(tls.cipher_suites, ":");
  if (!SSL_CTX_set_strict_cipher_list(ssl_ctx_, ciphers.c_str())) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to initialize cipher suites ", ciphers,
                     ". The following ciphers were rejected when tried individually: ",
                     RefusedCiphers(tls.cipher_suites)));
  }
  const std::string groups =
      tls.ecdh_curves.empty() ? kDefaultGroups : absl::StrJoin(tls.ecdh_curves, ":");
  if (!SSL_CTX_set1_groups_list(ssl_ctx_, groups.c_str())) {
    ERR_clear_error();
    return absl::InvalidArgumentError(absl::StrCat("Failed to initialize ECDH curves ", groups));
  }
  if (!tls.signature_algorithms.empty()) {
    const std::string names = absl::StrJoin(tls.signature_algorithms, ":");
    if (!SSL_CTX_set1_sigalgs_list(ssl_ctx_, names.c_str())) {
      ERR_clear_error();
      return absl::InvalidArgumentError(
          absl::StrCat("Failed to initialize TLS signature algorithms ", names));
    }
  }
  if (tls.fips_policy &&
      !SSL_CTX_set_compliance_policy(ssl_ctx_, ssl_compliance_policy_fips_202205)) {
    return absl::InvalidArgumentError("Failed to apply FIPS_202205 compliance policy");
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetKeyLog(const xds::CommonTls& tls) {
  if (tls.key_log.path.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<KeyLogFile>> log = KeyLogFile::Open(tls.key_log.path);
  if (!log.ok()) return log.status();
  key_log_ = *std::move(log);
  SSL_CTX_set_ex_data(ssl_ctx_, KeyLogIndex(), key_log_.get());
  SSL_CTX_set_keylog_callback(ssl_ctx_, LogKeys);
  return absl::OkStatus();
}

void TlsContext::NoteLocalNames(x509_st* leaf) {
  local_names_.subject = SubjectOf(leaf);
  SubjectNames names = NamesOf(leaf);
  local_names_.uri_sans = std::move(names.uri);
  local_names_.dns_sans = std::move(names.dns);
  local_names_.ip_sans = std::move(names.ip);
}

void TlsContext::CheckAlways(ssl_st* ssl) {
  SSL_set_custom_verify(ssl, SSL_VERIFY_PEER, CheckPeer);
}

void TlsContext::SetVerifyMode(int mode) { SSL_CTX_set_custom_verify(ssl_ctx_, mode, CheckPeer); }

absl::Status TlsContext::Prepare(const xds::CommonTls& tls, const TlsContextInput& input) {
  ERR_clear_error();
  absl::Status status = SetVersions(tls);
  if (status.ok()) status = SetAlgorithms(tls);
  if (status.ok()) status = SetKeyLog(tls);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<PeerVerifier>> verifier =
      PeerVerifier::Make(input.validation, server_);
  if (!verifier.ok()) return verifier.status();
  verifier_ = *std::move(verifier);
  certificates_.trusted = verifier_->trusted();
  if (input.stats != nullptr) stats_ = RegisterTlsStats(*input.stats, input.stat_prefix);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ClientTlsContext>> ClientTlsContext::Make(
    const xds::UpstreamTls& tls, const TlsContextInput& input) {
  std::shared_ptr<ClientTlsContext> context(new ClientTlsContext);
  absl::Status status = context->Prepare(tls.common, input);
  if (status.ok()) status = context->PrepareClient(tls, input);
  if (!status.ok()) return status;
  return std::shared_ptr<const ClientTlsContext>(std::move(context));
}

absl::Status ClientTlsContext::PrepareClient(const xds::UpstreamTls& tls,
                                             const TlsContextInput& input) {
  sni_ = tls.sni;
  auto_host_sni_ = tls.auto_host_sni;
  auto_sni_san_validation_ = tls.auto_sni_san_validation;
  max_session_keys_ = tls.max_session_keys;
  for (const xds::TlsCertificate& certificate : input.certificates) {
    absl::StatusOr<Identity> identity = LoadIdentity(certificate);
    if (!identity.ok()) return identity.status();
    if (certificates_.chain.empty()) NoteLocalNames(identity->leaf.get());
    certificates_.chain.push_back(identity->facts);
    if (!SSL_CTX_add1_credential(ssl_ctx_, identity->credential.get())) {
      return absl::InvalidArgumentError(absl::StrCat("Failed to use certificate: ", DrainErrors()));
    }
  }
  has_alpn_ = !tls.common.alpn.empty();
  if (has_alpn_) {
    std::string wire;
    for (const std::string& protocol : tls.common.alpn) {
      wire += static_cast<char>(protocol.size());
      wire += protocol;
    }
    SSL_CTX_set_alpn_protos(ssl_ctx_, reinterpret_cast<const uint8_t*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
  }
  SetVerifyMode(verifier_->asks() || auto_sni_san_validation_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE);
  if (max_session_keys_ > 0) {
    // Sessions are kept by each loop for itself (tls_sessions.h), not in the shared context.
    SSL_CTX_set_session_cache_mode(ssl_ctx_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl_ctx_, KeepSession);
  } else {
    SSL_CTX_set_session_cache_mode(ssl_ctx_, SSL_SESS_CACHE_OFF);
  }
  return absl::OkStatus();
}

}  // namespace remora::proxy
