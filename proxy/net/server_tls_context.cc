#include <openssl/aes.h>
#include <openssl/cipher.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/net/certificate.h"
#include "proxy/net/tls_context.h"

namespace remora::proxy {

// The certificates to choose from, when there are several.
struct ServerTlsContext::Identities {
  // ECDSA before RSA: the library takes the first that the client can use.
  std::vector<Identity> all;
  SSL_CREDENTIAL* first = nullptr;  // in the order of configuration
  absl::flat_hash_map<std::string, std::vector<SSL_CREDENTIAL*>> by_name;  // "a.b", ".b" for "*.b"
  bool scan_all = false;
};

// As Envoy's files: 16 bytes of name, 32 of HMAC key, 32 of AES key.
struct ServerTlsContext::TicketKeys {
  static constexpr size_t kSize = 80;
  std::vector<std::array<uint8_t, kSize>> keys;
  ~TicketKeys() {
    for (auto& key : keys) OPENSSL_cleanse(key.data(), key.size());
  }
};

// What the library calls during handshakes, on the loops.
struct ServerCallbacks {
  static int ContextIndex() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }
  static const ServerTlsContext& Of(const SSL* ssl) {
    return *static_cast<const ServerTlsContext*>(
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ContextIndex()));
  }

  static ssl_select_cert_result_t ChooseCertificate(const SSL_CLIENT_HELLO* hello) {
    const ServerTlsContext::Identities& identities = *Of(hello->ssl).identities_;
    const char* name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
    // Names are compared as they are spelled, and a name that is given decides alone: only without
    // one, or where all may be looked through, a certificate of another name is taken because it
    // suits the client better. (Envoy's order.)
    const std::string server_name = name == nullptr ? std::string() : std::string(name);
    const std::vector<SSL_CREDENTIAL*>* named = Named(identities, server_name);
    if (named != nullptr) {
      for (SSL_CREDENTIAL* credential : *named) SSL_add1_credential(hello->ssl, credential);
    }
    const auto is_named = [named](const SSL_CREDENTIAL* credential) {
      return named != nullptr &&
             std::find(named->begin(), named->end(), credential) != named->end();
    };
    if (!server_name.empty() && !identities.scan_all) {
      if (!is_named(identities.first)) SSL_add1_credential(hello->ssl, identities.first);
      return ssl_select_cert_success;
    }
    for (const Identity& identity : identities.all) {
      SSL_CREDENTIAL* credential = identity.credential.get();
      if (!is_named(credential)) SSL_add1_credential(hello->ssl, credential);
    }
    return ssl_select_cert_success;
  }

  static const std::vector<SSL_CREDENTIAL*>* Named(const ServerTlsContext::Identities& identities,
                                                   const std::string& name) {
    if (name.empty()) return nullptr;
    auto found = identities.by_name.find(name);
    if (found != identities.by_name.end()) return &found->second;
    const size_t dot = name.find('.');
    if (dot == std::string::npos) return nullptr;
    found = identities.by_name.find(name.substr(dot));
    return found == identities.by_name.end() ? nullptr : &found->second;
  }

  static int ChooseProtocol(SSL* ssl, const uint8_t** out, uint8_t* out_size, const uint8_t* in,
                            unsigned in_size, void*) {
    const std::string& ours = Of(ssl).alpn_;
    const int result = SSL_select_next_proto(const_cast<uint8_t**>(out), out_size,
                                             reinterpret_cast<const uint8_t*>(ours.data()),
                                             static_cast<unsigned>(ours.size()), in, in_size);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
  }

  static int UseTicketKey(SSL* ssl, uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher,
                          HMAC_CTX* hmac, int encrypt) {
    const auto& keys = Of(ssl).ticket_keys_->keys;
    if (encrypt == 1) {
      const uint8_t* key = keys[0].data();
      memcpy(name, key, 16);
      if (!RAND_bytes(iv, EVP_MAX_IV_LENGTH)) return -1;
      if (!EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key + 48, iv)) return -1;
      return HMAC_Init_ex(hmac, key + 16, 32, EVP_sha256(), nullptr) ? 1 : -1;
    }
    for (size_t i = 0; i < keys.size(); ++i) {
      const uint8_t* key = keys[i].data();
      if (CRYPTO_memcmp(name, key, 16) != 0) continue;
      if (!HMAC_Init_ex(hmac, key + 16, 32, EVP_sha256(), nullptr)) return -1;
      if (!EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key + 48, iv)) return -1;
      return i == 0 ? 1 : 2;  // an old key: a new ticket is to be made
    }
    return 0;
  }
};

ServerTlsContext::ServerTlsContext()
    : TlsContext(true), identities_(std::make_unique<Identities>()) {
  SSL_CTX_set_ex_data(ssl_ctx_, ServerCallbacks::ContextIndex(), this);
}

ServerTlsContext::~ServerTlsContext() = default;

absl::StatusOr<std::shared_ptr<const ServerTlsContext>> ServerTlsContext::Make(
    const xds::DownstreamTls& tls, const TlsContextInput& input) {
  std::shared_ptr<ServerTlsContext> context(new ServerTlsContext);
  absl::Status status = context->Prepare(tls.common, input);
  if (status.ok()) status = context->PrepareServer(tls, input);
  if (!status.ok()) return status;
  return std::shared_ptr<const ServerTlsContext>(std::move(context));
}

absl::Status ServerTlsContext::PrepareServer(const xds::DownstreamTls& tls,
                                             const TlsContextInput& input) {
  absl::Status status = SetIdentities(tls, input);
  if (status.ok()) status = SetResumption(tls, input);
  if (!status.ok()) return status;
  for (const std::string& protocol : tls.common.alpn) {
    alpn_ += static_cast<char>(protocol.size());
    alpn_ += protocol;
  }
  if (!alpn_.empty())
    SSL_CTX_set_alpn_select_cb(ssl_ctx_, ServerCallbacks::ChooseProtocol, nullptr);
  if (!tls.prefer_client_ciphers) SSL_CTX_set_options(ssl_ctx_, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SetClientAuthentication(tls, input);
  BindSessions(tls, input);
  return absl::OkStatus();
}

absl::Status ServerTlsContext::SetIdentities(const xds::DownstreamTls& tls,
                                             const TlsContextInput& input) {
  if (input.certificates.empty()) {
    return absl::InvalidArgumentError("Server TlsCertificates must have a certificate specified");
  }
  for (const xds::TlsCertificate& certificate : input.certificates) {
    absl::StatusOr<Identity> identity = LoadIdentity(certificate);
    if (!identity.ok()) return identity.status();
    if (tls.ocsp_policy == xds::DownstreamTls::OcspPolicy::kMust && !certificate.ocsp_staple.set) {
      return absl::InvalidArgumentError("Required OCSP response is missing from TLS context");
    }
    if (identities_->first == nullptr) {
      identities_->first = identity->credential.get();
      NoteLocalNames(identity->leaf.get());
    }
    certificates_.chain.push_back(identity->facts);
    identities_->all.push_back(*std::move(identity));
  }
  std::stable_partition(identities_->all.begin(), identities_->all.end(),
                        [](const Identity& identity) { return identity.ecdsa; });
  identities_->scan_all = tls.full_scan_certs_on_sni_mismatch;
  if (identities_->all.size() == 1) {
    if (!SSL_CTX_add1_credential(ssl_ctx_, identities_->first)) {
      return absl::InvalidArgumentError(absl::StrCat("Failed to use certificate: ", DrainErrors()));
    }
    return absl::OkStatus();
  }
  for (const Identity& identity : identities_->all) {
    for (const std::string& name : identity.server_names) {
      identities_->by_name[absl::StartsWith(name, "*.") ? name.substr(1) : name].push_back(
          identity.credential.get());
    }
  }
  SSL_CTX_set_select_certificate_cb(ssl_ctx_, ServerCallbacks::ChooseCertificate);
  return absl::OkStatus();
}

absl::Status ServerTlsContext::SetResumption(const xds::DownstreamTls& tls,
                                             const TlsContextInput& input) {
  if (input.ticket_keys && !input.ticket_keys->keys.empty()) {
    ticket_keys_ = std::make_unique<TicketKeys>();
    for (const xds::DataSource& source : input.ticket_keys->keys) {
      if (source.bytes.size() != TicketKeys::kSize) {
        return absl::InvalidArgumentError(
            absl::StrCat("Incorrect TLS session ticket key length. Length ", source.bytes.size(),
                         ", expected length ", TicketKeys::kSize, "."));
      }
      ticket_keys_->keys.emplace_back();
      memcpy(ticket_keys_->keys.back().data(), source.bytes.data(), TicketKeys::kSize);
    }
    SSL_CTX_set_tlsext_ticket_key_cb(ssl_ctx_, ServerCallbacks::UseTicketKey);
  }
  if (tls.disable_stateless_resumption) SSL_CTX_set_options(ssl_ctx_, SSL_OP_NO_TICKET);
  if (tls.disable_stateful_resumption) SSL_CTX_set_session_cache_mode(ssl_ctx_, SSL_SESS_CACHE_OFF);
  if (tls.session_timeout) {
    SSL_CTX_set_timeout(ssl_ctx_,
                        static_cast<uint32_t>(absl::ToInt64Seconds(*tls.session_timeout)));
  }
  return absl::OkStatus();
}

void ServerTlsContext::SetClientAuthentication(const xds::DownstreamTls& tls,
                                               const TlsContextInput& input) {
  int mode = SSL_VERIFY_NONE;
  // Trust without a demand still asks: whoever shows a certificate must show a good one.
  if (input.validation && verifier_->asks()) mode = SSL_VERIFY_PEER;
  // A demand means nothing where no authority is named that could have issued it.
  if (tls.require_client_certificate && verifier_->has_authorities()) {
    mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  SetVerifyMode(mode);
  verifier_->AddClientCas(ssl_ctx_);
}

void ServerTlsContext::BindSessions(const xds::DownstreamTls& tls,
                                    const TlsContextInput& /*input*/) {
  SHA256_CTX sha;
  SHA256_Init(&sha);
  for (const Identity& identity : identities_->all) {
    for (const std::string& name : identity.server_names)
      SHA256_Update(&sha, name.data(), name.size() + 1);
    const std::string issuer = IssuerOf(identity.leaf.get());
    SHA256_Update(&sha, issuer.data(), issuer.size() + 1);
  }
  const std::string& trust = verifier_->fingerprint();
  SHA256_Update(&sha, trust.data(), trust.size());
  const uint8_t required = tls.require_client_certificate;
  SHA256_Update(&sha, &required, 1);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &sha);
  SSL_CTX_set_session_id_context(ssl_ctx_, digest, sizeof(digest));
}

}  // namespace remora::proxy
