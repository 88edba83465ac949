#ifndef REMORA_PROXY_NET_TLS_CONTEXT_H_
#define REMORA_PROXY_NET_TLS_CONTEXT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/base/stats.h"
#include "proxy/net/certificate_facts.h"
#include "proxy/net/peer_verifier.h"
#include "proxy/net/tls_key_log.h"
#include "xds/secret.h"
#include "xds/tls.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace remora::proxy {

// What a context is made of besides its settings: the secrets it refers to, resolved.
struct TlsContextInput {
  // Inline and referenced ones, in the order of configuration.
  std::vector<xds::TlsCertificate> certificates;
  // Inline and referenced, merged; none: the peer is not asked (server) or not checked (client).
  std::optional<xds::ValidationContext> validation;
  // Servers; none: the context makes its own keys.
  std::optional<xds::SessionTicketKeys> ticket_keys;
  StatStore* stats = nullptr;
  std::string stat_prefix;  // of the owner: "listener.0.0.0.0_443.", "cluster.web."
};

// What one handshake needs when the peer's certificates come; attached to its SSL by
// SSL_set_app_data.
struct TlsPeerCheck {
  const PeerVerifier* verifier = nullptr;
  // The name the certificate must be for as well; see PeerVerifier.
  absl::string_view server_name;
  bool server_name_only = false;
  PeerVerifier::Verdict verdict;
  bool asked = false;
  // Clients: sessions are kept for (scope, server name); 0: not kept.
  uint64_t session_scope = 0;
  absl::string_view session_name;
  uint32_t most_sessions = 0;
};

// What we say of ourselves in TlsFacts.
struct LocalNames {
  std::string subject;
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::vector<std::string> ip_sans;
};

// Settings, certificates and trust of one side, ready for handshakes. A rotation makes a new one;
// connections keep the one they were made with.
//
// Threads: made and destroyed on main; const, shared by all loops (BoringSSL's contexts are made
// for that). Sources: RFC 8446, RFC 5246, RFC 5280.
class TlsContext {
 public:
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* ssl_ctx() const { return ssl_ctx_; }
  const PeerVerifier& verifier() const { return *verifier_; }
  const StatBlock* stats() const { return stats_; }
  // Tells contexts apart for as long as the process lives (session caches).
  uint64_t id() const { return id_; }

  // The peer of this one handshake is checked even where the settings ask for nothing.
  static void CheckAlways(ssl_st* ssl);

  // Of the first certificate; empty without one.
  const LocalNames& local_names() const { return local_names_; }
  // For /certs and server.days_until_first_cert_expiring.
  const ContextCertificates& certificates() const { return certificates_; }

 protected:
  explicit TlsContext(bool server);
  absl::Status Prepare(const xds::CommonTls& tls, const TlsContextInput& input);
  void SetVerifyMode(int mode);

  const bool server_;
  const uint64_t id_;
  ssl_ctx_st* ssl_ctx_;
  std::unique_ptr<PeerVerifier> verifier_;
  const StatBlock* stats_ = nullptr;
  ContextCertificates certificates_;
  LocalNames local_names_;
  std::unique_ptr<KeyLogFile> key_log_;
  void NoteLocalNames(x509_st* leaf);

 private:
  absl::Status SetVersions(const xds::CommonTls& tls);
  absl::Status SetAlgorithms(const xds::CommonTls& tls);
  absl::Status SetKeyLog(const xds::CommonTls& tls);
};

class ServerTlsContext final : public TlsContext {
 public:
  // Errors as Envoy words them: no certificate, certificate and key that do not match, unknown
  // ciphers, ...
  static absl::StatusOr<std::shared_ptr<const ServerTlsContext>> Make(const xds::DownstreamTls& tls,
                                                                      const TlsContextInput& input);
  ~ServerTlsContext();

 private:
  friend struct ServerCallbacks;
  struct Identities;
  struct TicketKeys;
  ServerTlsContext();
  absl::Status PrepareServer(const xds::DownstreamTls& tls, const TlsContextInput& input);
  absl::Status SetIdentities(const xds::DownstreamTls& tls, const TlsContextInput& input);
  absl::Status SetResumption(const xds::DownstreamTls& tls, const TlsContextInput& input);
  void SetClientAuthentication(const xds::DownstreamTls& tls, const TlsContextInput& input);
  // The session ID context: sessions of another configuration or trust are not resumed.
  void BindSessions(const xds::DownstreamTls& tls, const TlsContextInput& input);

  std::unique_ptr<Identities> identities_;
  std::unique_ptr<TicketKeys> ticket_keys_;
  std::string alpn_;  // wire format, in order of preference
};

class ClientTlsContext final : public TlsContext {
 public:
  static absl::StatusOr<std::shared_ptr<const ClientTlsContext>> Make(const xds::UpstreamTls& tls,
                                                                      const TlsContextInput& input);

  // As configured; a connection may have its own.
  const std::string& sni() const { return sni_; }
  bool auto_host_sni() const { return auto_host_sni_; }
  bool auto_sni_san_validation() const { return auto_sni_san_validation_; }
  bool has_alpn() const { return has_alpn_; }
  uint32_t max_session_keys() const { return max_session_keys_; }

 private:
  ClientTlsContext() : TlsContext(false) {}
  absl::Status PrepareClient(const xds::UpstreamTls& tls, const TlsContextInput& input);

  std::string sni_;
  bool auto_host_sni_ = false;
  bool auto_sni_san_validation_ = false;
  bool has_alpn_ = false;
  uint32_t max_session_keys_ = 1;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_CONTEXT_H_
