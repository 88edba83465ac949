#include "proxy/net/tls_facts.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proxy/net/certificate.h"

namespace remora::proxy {
namespace {

// PEM as XFCC carries it.
std::string UrlEncoded(absl::string_view pem) {
  std::string out;
  out.reserve(pem.size() + pem.size() / 8);
  for (const char c : pem) {
    switch (c) {
      case '\n':
        out += "%0A";
        break;
      case ' ':
        out += "%20";
        break;
      case '+':
        out += "%2B";
        break;
      case '/':
        out += "%2F";
        break;
      case '=':
        out += "%3D";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void AddPeer(STACK_OF(X509) * chain, TlsFacts* facts) {
  X509* leaf = sk_X509_value(chain, 0);
  facts->peer_certificate_presented = true;
  SubjectNames names = NamesOf(leaf);
  facts->peer_uri_sans = std::move(names.uri);
  facts->peer_dns_sans = std::move(names.dns);
  facts->peer_ip_sans = std::move(names.ip);
  facts->peer_email_sans = std::move(names.email);
  facts->peer_subject = SubjectOf(leaf);
  facts->peer_issuer = IssuerOf(leaf);
  facts->peer_serial = SerialOf(leaf);
  facts->peer_fingerprint_sha256 = FingerprintSha256(leaf);
  facts->peer_fingerprint_sha1 = FingerprintSha1(leaf);
  facts->peer_certificate_pem = UrlEncoded(PemOf(leaf));
  facts->peer_chain_pem = facts->peer_certificate_pem;
  for (size_t i = 1; i < sk_X509_num(chain); ++i) {
    facts->peer_chain_pem += UrlEncoded(PemOf(sk_X509_value(chain, i)));
  }
  for (size_t i = 0; i < sk_X509_num(chain); ++i) {
    X509* certificate = sk_X509_value(chain, i);
    facts->chain_fingerprints_sha256.push_back(FingerprintSha256(certificate));
    facts->chain_fingerprints_sha1.push_back(FingerprintSha1(certificate));
    facts->chain_serials.push_back(SerialOf(certificate));
  }
  facts->peer_valid_from = ValidFrom(leaf);
  facts->peer_valid_until = ValidUntil(leaf);
}

}  // namespace

TlsFacts FactsOfHandshake(ssl_st* ssl, const LocalNames& local, bool peer_validated) {
  TlsFacts facts;
  facts.version = SSL_get_version(ssl);
  if (const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl))
    facts.cipher = SSL_CIPHER_get_name(cipher);
  if (const char* group = SSL_get_group_name(SSL_get_group_id(ssl))) facts.group = group;
  const uint8_t* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  facts.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) facts.sni = name;
  if (const SSL_SESSION* session = SSL_get_session(ssl)) {
    unsigned size = 0;
    const uint8_t* id = SSL_SESSION_get_id(session, &size);
    facts.session_id =
        absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(id), size));
  }
  facts.local_subject = local.subject;
  facts.local_uri_sans = local.uri_sans;
  facts.local_dns_sans = local.dns_sans;
  facts.local_ip_sans = local.ip_sans;
  STACK_OF(X509)* chain = SSL_get_peer_full_cert_chain(ssl);
  if (chain != nullptr && sk_X509_num(chain) > 0) {
    AddPeer(chain, &facts);
    facts.peer_certificate_validated = peer_validated;
  }
  return facts;
}

}  // namespace remora::proxy
