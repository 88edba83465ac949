#ifndef REMORA_PROXY_MAIN_TLS_CONTEXTS_H_
#define REMORA_PROXY_MAIN_TLS_CONTEXTS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "proxy/base/stats.h"
#include "proxy/net/tls_context.h"
#include "xds/snapshot.h"
#include "xds/tls.h"

namespace remora::proxy {

// "listener.NAME.server_ssl_socket_factory.", "cluster.NAME.client_ssl_socket_factory."
enum class SslFactoryStat {
  kUpdateBySds,
  kUpstreamSecretsNotReady,
  kDownstreamSecretsNotReady,
};
StatSchema SslFactoryStatSchema();

// Makes TLS contexts of settings and the secrets they refer to, and shares them between equal
// settings.
//
// Threads: main. Contexts are const and live as long as somebody uses them.
class TlsContexts {
 public:
  explicit TlsContexts(StatStore* stats) : stats_(stats) {}

  // The secrets in force from now on. True when any changed that was known before.
  bool SetSecrets(std::shared_ptr<const xds::Secrets> secrets);

  // Null (without an error) while a secret is missing.
  absl::StatusOr<std::shared_ptr<const ServerTlsContext>> ForServer(const xds::DownstreamTls& tls,
                                                                    const std::string& stat_prefix);
  absl::StatusOr<std::shared_ptr<const ClientTlsContext>> ForClient(const xds::UpstreamTls& tls,
                                                                    const std::string& stat_prefix);

  // Of every context in use, for /certs.
  std::vector<ContextCertificates> Certificates() const;
  // 2^32 - 1 when there is no certificate; `server.days_until_first_cert_expiring`.
  uint64_t DaysUntilFirstExpiry() const;
  std::vector<std::shared_ptr<const ServerTlsContext>> servers() const;
  std::vector<std::shared_ptr<const ClientTlsContext>> clients() const;

 private:
  void Sweep();
  // Counts secrets that were not part of these settings' context before ("...ssl_socket_factory.").
  void CountSecrets(const std::string& prefix, const std::string& owner,
                    const std::vector<const xds::Secret*>& secrets);

  struct Resolved {
    bool complete = true;
    std::vector<xds::TlsCertificate> certificates;
    std::optional<xds::ValidationContext> validation;
    std::string identity;                       // which secrets went in
    std::vector<const xds::Secret*> delivered;  // those of them that came over SDS
  };
  Resolved Resolve(const xds::CommonTls& common) const;
  const xds::Secret* Find(const std::string& name) const;

  StatStore* stats_;
  absl::flat_hash_map<std::string, std::vector<const xds::Secret*>> counted_;
  std::shared_ptr<const xds::Secrets> secrets_;
  absl::flat_hash_map<std::string, std::weak_ptr<const ServerTlsContext>> servers_;
  absl::flat_hash_map<std::string, std::weak_ptr<const ClientTlsContext>> clients_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_TLS_CONTEXTS_H_
