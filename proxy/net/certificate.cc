#include "proxy/net/certificate.h"

#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "filters/api/address.h"

namespace remora::proxy {
namespace {

std::string TextOf(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  if (!BIO_mem_contents(bio, &data, &size)) return {};
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string NameText(const X509_NAME* name) {
  bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  return TextOf(bio.get());
}

std::string StringOf(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
}

std::string IpText(const ASN1_STRING* bytes) {
  const std::string raw = StringOf(bytes);
  if (raw.size() == 4) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    memcpy(&address.sin_addr, raw.data(), 4);
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&address), sizeof(address)).IpString();
  }
  if (raw.size() == 16) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    memcpy(&address.sin6_addr, raw.data(), 16);
    return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&address), sizeof(address)).IpString();
  }
  return {};
}

bool AddOtherName(const GENERAL_NAME* name, SubjectNames* out) {
  char oid[80];
  if (OBJ_obj2txt(oid, sizeof(oid), name->d.otherName->type_id, 1) <= 0) return false;
  const ASN1_TYPE* value = name->d.otherName->value;
  switch (value->type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_T61STRING:
    case V_ASN1_OCTET_STRING:
    case V_ASN1_VISIBLESTRING:
      out->other.push_back({oid, StringOf(value->value.asn1_string)});
      return true;
    default:
      return false;
  }
}

template <typename Digest>
std::string DigestHex(X509* certificate, Digest digest) {
  uint8_t bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!X509_digest(certificate, digest, bytes, &size)) return {};
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(bytes), size));
}

int64_t Seconds(const ASN1_TIME* time) {
  int64_t seconds = 0;
  return ASN1_TIME_to_posix(time, &seconds) ? seconds : 0;
}

std::string Where(const xds::DataSource& source) {
  return source.file.empty() ? "<inline>" : source.file;
}

int GivePassword(char* out, int size, int /*writing*/, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (static_cast<int>(text.size()) > size) return -1;
  memcpy(out, text.data(), text.size());
  return static_cast<int>(text.size());
}

absl::Status LoadFailure(absl::string_view what, const std::string& where) {
  const std::string cause = DrainErrors();
  return absl::InvalidArgumentError(absl::StrCat("Failed to load ", what, " from ", where,
                                                 cause.empty() ? "" : ", Cause: ", cause));
}

struct ChainAndKey {
  std::vector<bssl::UniquePtr<X509>> chain;
  bssl::UniquePtr<EVP_PKEY> key;
};

absl::StatusOr<ChainAndKey> ReadPkcs12(const xds::TlsCertificate& certificate) {
  ChainAndKey out;
  CBS input;
  CBS_init(&input, reinterpret_cast<const uint8_t*>(certificate.pkcs12.bytes.data()),
           certificate.pkcs12.bytes.size());
  bssl::UniquePtr<STACK_OF(X509)> chain(sk_X509_new_null());
  EVP_PKEY* key = nullptr;
  const bool read =
      PKCS12_get_key_and_certs(&key, chain.get(), &input, certificate.password.bytes.c_str());
  out.key.reset(key);
  if (!read || key == nullptr || sk_X509_num(chain.get()) == 0) {
    return LoadFailure("pkcs12", Where(certificate.pkcs12));
  }
  // The leaf is the one the key belongs to; it comes first.
  while (sk_X509_num(chain.get()) > 0) out.chain.emplace_back(sk_X509_shift(chain.get()));
  for (size_t i = 1; i < out.chain.size(); ++i) {
    if (X509_check_private_key(out.chain[i].get(), key) == 1) std::swap(out.chain[0], out.chain[i]);
  }
  ERR_clear_error();
  return out;
}

absl::StatusOr<ChainAndKey> ReadChainAndKey(const xds::TlsCertificate& certificate) {
  if (certificate.pkcs12.set) return ReadPkcs12(certificate);
  ChainAndKey out;
  out.chain = ReadPem(certificate.certificate_chain.bytes);
  if (out.chain.empty())
    return LoadFailure("certificate chain", Where(certificate.certificate_chain));
  const std::string& pem = certificate.private_key.bytes;
  bssl::UniquePtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  std::string password = certificate.password.bytes;
  out.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassword, &password));
  if (out.key == nullptr) return LoadFailure("private key", Where(certificate.private_key));
  return out;
}

absl::Status CheckKey(const ChainAndKey& pair, const std::string& where) {
  const bssl::UniquePtr<EVP_PKEY> leaf_key(X509_get_pubkey(pair.chain[0].get()));
  if (leaf_key == nullptr || EVP_PKEY_cmp(leaf_key.get(), pair.key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to load private key from ", where,
                     ", Cause: error:0b000074:X.509 certificate routines:"
                     "OPENSSL_internal:KEY_VALUES_MISMATCH"));
  }
  const int kind = EVP_PKEY_id(leaf_key.get());
  if (kind == EVP_PKEY_RSA && EVP_PKEY_bits(leaf_key.get()) < 2048) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to load certificate chain from ", where,
                     ", only RSA certificates with 2048-bit or larger keys are supported"));
  }
  if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC && kind != EVP_PKEY_ED25519) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to load certificate chain from ", where,
                     ", only RSA and ECDSA certificates are supported"));
  }
  return absl::OkStatus();
}

absl::Status FillCredential(const ChainAndKey& pair, const xds::TlsCertificate& certificate,
                            SSL_CREDENTIAL* credential) {
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> buffers;
  std::vector<CRYPTO_BUFFER*> pointers;
  for (const auto& link : pair.chain) {
    uint8_t* der = nullptr;
    const int size = i2d_X509(link.get(), &der);
    if (size <= 0) return LoadFailure("certificate chain", Where(certificate.certificate_chain));
    buffers.emplace_back(CRYPTO_BUFFER_new(der, static_cast<size_t>(size), nullptr));
    OPENSSL_free(der);
    pointers.push_back(buffers.back().get());
  }
  if (!SSL_CREDENTIAL_set1_cert_chain(credential, pointers.data(), pointers.size())) {
    return LoadFailure("certificate chain", Where(certificate.certificate_chain));
  }
  if (!SSL_CREDENTIAL_set1_private_key(credential, pair.key.get())) {
    return LoadFailure("private key", Where(certificate.private_key));
  }
  if (certificate.ocsp_staple.set) {
    const std::string& der = certificate.ocsp_staple.bytes;
    const bssl::UniquePtr<CRYPTO_BUFFER> staple(
        CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t*>(der.data()), der.size(), nullptr));
    SSL_CREDENTIAL_set1_ocsp_response(credential, staple.get());
  }
  return absl::OkStatus();
}

}  // namespace

std::string DrainErrors() {
  std::string text;
  while (const uint32_t code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof(line));
    absl::StrAppend(&text, text.empty() ? "" : "; ", line);
  }
  return text;
}

SubjectNames NamesOf(X509* certificate) {
  SubjectNames names;
  const bssl::UniquePtr<GENERAL_NAMES> all(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (all == nullptr) {
    ERR_clear_error();
    return names;
  }
  const auto add = [&names](std::vector<std::string>* list, std::string text) {
    names.all.push_back(text);
    list->push_back(std::move(text));
  };
  for (const GENERAL_NAME* name : all.get()) {
    switch (name->type) {
      case GEN_URI:
        add(&names.uri, StringOf(name->d.uniformResourceIdentifier));
        break;
      case GEN_DNS:
        add(&names.dns, StringOf(name->d.dNSName));
        break;
      case GEN_EMAIL:
        add(&names.email, StringOf(name->d.rfc822Name));
        break;
      case GEN_IPADD:
        add(&names.ip, IpText(name->d.iPAddress));
        break;
      case GEN_OTHERNAME:
        if (AddOtherName(name, &names)) names.all.push_back(names.other.back().value);
        break;
      default:
        break;
    }
  }
  return names;
}

std::string CommonNameOf(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  return text == nullptr ? std::string() : StringOf(text);
}

std::string SubjectOf(X509* certificate) { return NameText(X509_get_subject_name(certificate)); }
std::string IssuerOf(X509* certificate) { return NameText(X509_get_issuer_name(certificate)); }

std::string SerialOf(X509* certificate) {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  const bssl::UniquePtr<BIGNUM> number(ASN1_INTEGER_to_BN(serial, nullptr));
  if (number == nullptr) return {};
  const bssl::UniquePtr<char> hex(BN_bn2hex(number.get()));
  return hex == nullptr ? std::string() : absl::AsciiStrToLower(hex.get());
}

std::string FingerprintSha256(X509* certificate) { return DigestHex(certificate, EVP_sha256()); }
std::string FingerprintSha1(X509* certificate) { return DigestHex(certificate, EVP_sha1()); }

std::string PemOf(X509* certificate) {
  const bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || !PEM_write_bio_X509(bio.get(), certificate)) return {};
  return TextOf(bio.get());
}

int64_t ValidFrom(X509* certificate) { return Seconds(X509_get0_notBefore(certificate)); }
int64_t ValidUntil(X509* certificate) { return Seconds(X509_get0_notAfter(certificate)); }

CertificateFacts FactsOf(X509* certificate, const xds::DataSource& source) {
  using Kind = CertificateFacts::NameKind;
  CertificateFacts facts;
  facts.path = Where(source);
  facts.serial = SerialOf(certificate);
  const SubjectNames names = NamesOf(certificate);
  for (const std::string& name : names.dns) facts.subject_alt_names.emplace_back(Kind::kDns, name);
  for (const std::string& name : names.uri) facts.subject_alt_names.emplace_back(Kind::kUri, name);
  for (const std::string& name : names.ip)
    facts.subject_alt_names.emplace_back(Kind::kIpAddress, name);
  facts.valid_from_s = ValidFrom(certificate);
  facts.expires_s = ValidUntil(certificate);
  return facts;
}

std::vector<bssl::UniquePtr<X509>> ReadPem(const std::string& pem) {
  std::vector<bssl::UniquePtr<X509>> out;
  const bssl::UniquePtr<BIO> bio(
      BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  while (true) {
    bssl::UniquePtr<X509> next(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    out.push_back(std::move(next));
  }
  // The end of the text is the one error that is none.
  const uint32_t error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
    ERR_clear_error();
  } else {
    out.clear();
  }
  return out;
}

bool DnsNameCovers(absl::string_view pattern, absl::string_view name) {
  if (absl::EqualsIgnoreCase(pattern, name)) return !pattern.empty();
  if (!absl::StartsWith(pattern, "*.")) return false;
  pattern.remove_prefix(1);
  const size_t dot = name.find('.');
  // A star alone over a top level domain stands for nothing.
  if (dot == absl::string_view::npos || dot == 0 || pattern.find('.', 1) == absl::string_view::npos)
    return false;
  return absl::EqualsIgnoreCase(pattern, name.substr(dot));
}

absl::StatusOr<Identity> LoadIdentity(const xds::TlsCertificate& certificate) {
  ERR_clear_error();
  absl::StatusOr<ChainAndKey> pair = ReadChainAndKey(certificate);
  if (!pair.ok()) return pair.status();
  const xds::DataSource& chain_source =
      certificate.pkcs12.set ? certificate.pkcs12 : certificate.certificate_chain;
  absl::Status status =
      CheckKey(*pair, Where(certificate.pkcs12.set ? certificate.pkcs12 : certificate.private_key));
  if (!status.ok()) return status;
  Identity identity;
  identity.credential.reset(SSL_CREDENTIAL_new_x509());
  status = FillCredential(*pair, certificate, identity.credential.get());
  if (!status.ok()) return status;
  identity.leaf = std::move(pair->chain[0]);
  identity.ecdsa = EVP_PKEY_id(pair->key.get()) != EVP_PKEY_RSA;
  for (const std::string& name : NamesOf(identity.leaf.get()).dns) {
    identity.server_names.push_back(absl::AsciiStrToLower(name));
  }
  if (identity.server_names.empty()) {
    std::string name = absl::AsciiStrToLower(CommonNameOf(identity.leaf.get()));
    if (!name.empty()) identity.server_names.push_back(std::move(name));
  }
  identity.facts = FactsOf(identity.leaf.get(), chain_source);
  return identity;
}

}  // namespace remora::proxy
