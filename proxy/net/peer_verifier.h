#ifndef REMORA_PROXY_NET_PEER_VERIFIER_H_
#define REMORA_PROXY_NET_PEER_VERIFIER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proxy/net/certificate_facts.h"
#include "xds/secret.h"

struct ssl_st;
struct ssl_ctx_st;
struct x509_st;

namespace remora::proxy {

// Decides whether a peer's certificates are good: chain to a trusted CA (or to the CA of its SPIFFE
// trust domain), revocation, names, pins.
//
// Threads: made on main; Verify() on any loop.
class PeerVerifier {
 public:
  enum class Failure { kNone, kChain, kNames, kPins };
  struct Verdict {
    bool accepted = false;
    // Accepted because it was verified, not because untrusted peers are let in or nothing is asked.
    bool validated = false;
    Failure failure = Failure::kNone;
    uint8_t alert = 0;   // for the peer, when refused
    std::string detail;  // as Envoy's logs say it, when refused
  };

  // `peer_is_client`: which usage the certificate must allow. No context: everybody is accepted.
  static absl::StatusOr<std::unique_ptr<PeerVerifier>> Make(
      const std::optional<xds::ValidationContext>& validation, bool peer_is_client);
  ~PeerVerifier();

  // The chain the peer of this handshake presented. `server_name`: the name its certificate must be
  // for as well (SAN of the SNI that was sent); empty: as configured only.
  // `server_name_only`: the configured names are then not asked for.
  Verdict Verify(ssl_st* ssl, absl::string_view server_name, bool server_name_only) const;

  // True when anything is asked of the peer.
  bool asks() const;
  // Whether it knows who may issue certificates.
  bool has_authorities() const;
  // Names of the trusted CAs are sent to clients, so that they can choose a certificate.
  void AddClientCas(ssl_ctx_st* ctx) const;
  const std::vector<CertificateFacts>& trusted() const { return trusted_; }
  // Changes with whatever may change a verdict.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  struct Trust;
  PeerVerifier();
  absl::Status Prepare(const xds::ValidationContext& validation);
  // Why the names are wrong; "" when they are right.
  std::string NamesFault(x509_st* leaf, absl::string_view server_name, bool server_name_only) const;
  bool CheckPins(x509_st* leaf) const;
  void VerifyChain(ssl_st* ssl, x509_st* leaf, Verdict* verdict) const;

  std::unique_ptr<Trust> trust_;
  xds::ValidationContext settings_;
  bool peer_is_client_ = false;
  bool has_validation_ = false;
  std::vector<CertificateFacts> trusted_;
  std::string fingerprint_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_PEER_VERIFIER_H_
