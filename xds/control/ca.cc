#include "xds/control/ca.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "xds/control/state_dir.h"

namespace remora::control {
namespace {

constexpr char kDefaultTrustDomain[] = "mesh.internal";
constexpr absl::Duration kRootTtl = absl::Hours(24 * 3650);
constexpr absl::Duration kSkew = absl::Minutes(1);

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using BnPtr = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

absl::Status OpenSslError(absl::string_view what) {
  char text[256] = "unknown error";
  if (const unsigned long code = ERR_get_error()) {
    ERR_error_string_n(code, text, sizeof(text));
  }
  ERR_clear_error();
  return absl::InternalError(absl::StrCat(what, ": ", text));
}

std::string TakeText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return TakeText(bio.get());
}

std::string ToPem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return TakeText(bio.get());
}

KeyPtr ParseKey(absl::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return KeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

X509Ptr ParseCertificate(absl::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

bool SetRandomSerial(X509* certificate) {
  BnPtr number(BN_new());
  // 127 bits: positive in 16 octets, as RFC 5280 §4.1.2.2 wants it.
  return number != nullptr &&
         BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetName(X509_NAME* name, absl::string_view common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetValidity(X509* certificate, absl::Time from, absl::Time until) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(from)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(until)) != nullptr;
}

// Everything but extensions and signature.
X509Ptr Draft(EVP_PKEY* key, absl::string_view common_name, absl::Time from, absl::Time until) {
  X509Ptr certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !SetRandomSerial(certificate.get()) || !SetValidity(certificate.get(), from, until) ||
      !SetName(X509_get_subject_name(certificate.get()), common_name) ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return nullptr;
  }
  return certificate;
}

absl::StatusOr<std::pair<std::string, std::string>> MakeRoot(const std::string& trust_domain) {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return OpenSslError("cannot make the CA's key");
  const absl::Time now = absl::Now();
  X509Ptr root =
      Draft(key.get(), absl::StrCat("Remora CA of ", trust_domain), now - kSkew, now + kRootTtl);
  if (root == nullptr || X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) != 1 ||
      !AddExtension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(root.get(), root.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(root.get(), root.get(), NID_subject_alt_name,
                    absl::StrCat("URI:spiffe://", trust_domain)) ||
      X509_sign(root.get(), key.get(), EVP_sha256()) == 0) {
    return OpenSslError("cannot make the CA's certificate");
  }
  return std::make_pair(ToPem(root.get()), ToPem(key.get()));
}

// The trust domain that a root was made for: its SPIFFE id has no path.
std::string TrustDomainOf(X509* root) {
  std::string found;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(root, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    absl::string_view uri(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
        static_cast<size_t>(ASN1_STRING_length(name->d.uniformResourceIdentifier)));
    if (absl::ConsumePrefix(&uri, "spiffe://")) found = std::string(uri);
  }
  GENERAL_NAMES_free(names);
  return found;
}

}  // namespace

bool IsTrustDomain(absl::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '-' || c == '_';
  });
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Open(
    const StateDir& state, absl::string_view trust_domain) {
  if (!trust_domain.empty() && !IsTrustDomain(trust_domain)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", trust_domain, "' is no trust domain (lower-case letters, digits, dots, hyphens)"));
  }
  absl::StatusOr<std::string> key = state.Read("ca.key");
  if (absl::IsNotFound(key.status())) {
    auto made = MakeRoot(trust_domain.empty() ? kDefaultTrustDomain : std::string(trust_domain));
    if (!made.ok()) return made.status();
    // The key comes last: it alone decides whether there is a CA.
    absl::Status stored = state.Write("ca.crt", made->first);
    if (stored.ok()) stored = state.Write("ca.key", made->second);
    if (!stored.ok()) return stored;
    key = made->second;
  }
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> certificate = state.Read("ca.crt");
  if (!certificate.ok()) return certificate.status();
  std::unique_ptr<CertificateAuthority> ca(new CertificateAuthority());
  absl::Status loaded = ca->Load(*certificate, *key);
  if (!loaded.ok()) {
    return absl::Status(loaded.code(), absl::StrCat(state.path(), ": ", loaded.message()));
  }
  if (!trust_domain.empty() && trust_domain != ca->trust_domain_) {
    return absl::FailedPreconditionError(
        absl::StrCat(state.path(), " holds the CA of trust domain ", ca->trust_domain_, ", not of ",
                     trust_domain));
  }
  return ca;
}

absl::Status CertificateAuthority::Load(const std::string& certificate, const std::string& key) {
  key_ = ParseKey(key).release();
  if (key_ == nullptr) return OpenSslError("ca.key");
  certificate_ = ParseCertificate(certificate).release();
  if (certificate_ == nullptr) return OpenSslError("ca.crt");
  if (X509_check_private_key(certificate_, key_) != 1) {
    return OpenSslError("ca.crt and ca.key do not belong together");
  }
  trust_domain_ = TrustDomainOf(certificate_);
  if (trust_domain_.empty()) {
    return absl::InvalidArgumentError("ca.crt names no SPIFFE trust domain");
  }
  bundle_ = ToPem(certificate_);
  return absl::OkStatus();
}

CertificateAuthority::~CertificateAuthority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

std::string CertificateAuthority::ServiceId(absl::string_view name) const {
  return absl::StrCat("spiffe://", trust_domain_, "/service/", name);
}

std::string CertificateAuthority::ControlId() const {
  return absl::StrCat("spiffe://", trust_domain_, "/control");
}

std::string CertificateAuthority::ControlName() const {
  return absl::StrCat("control.", trust_domain_);
}

absl::StatusOr<Certificate> CertificateAuthority::Issue(absl::string_view spiffe_id,
                                                        absl::string_view common_name,
                                                        absl::Time now, absl::Duration ttl,
                                                        const std::vector<std::string>& dns_names,
                                                        absl::string_view private_key) const {
  KeyPtr key = private_key.empty() ? KeyPtr(EVP_EC_gen("P-256")) : ParseKey(private_key);
  if (key == nullptr) return OpenSslError("no key for a certificate");
  std::string names = absl::StrCat("URI:", spiffe_id);
  for (const std::string& dns : dns_names) {
    absl::StrAppend(&names, ",DNS:", dns);
  }
  const absl::Time from = now - kSkew;
  const absl::Time until = now + ttl;
  X509Ptr leaf = Draft(key.get(), common_name, from, until);
  if (leaf == nullptr ||
      X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate_)) != 1 ||
      !AddExtension(leaf.get(), certificate_, NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(leaf.get(), certificate_, NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(leaf.get(), certificate_, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !AddExtension(leaf.get(), certificate_, NID_authority_key_identifier, "keyid:always") ||
      !AddExtension(leaf.get(), certificate_, NID_subject_alt_name, names) ||
      X509_sign(leaf.get(), key_, EVP_sha256()) == 0) {
    return OpenSslError(absl::StrCat("cannot sign for ", spiffe_id));
  }
  return Certificate{ToPem(leaf.get()), ToPem(key.get()), from, until};
}

}  // namespace remora::control
