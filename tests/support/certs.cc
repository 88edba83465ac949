#include "tests/support/certs.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include <cstdlib>

#include "absl/strings/str_join.h"

namespace remora::testing {
namespace {

std::string TextOf(BIO* bio) {
  const uint8_t* data = nullptr;
  size_t size = 0;
  BIO_mem_contents(bio, &data, &size);
  return std::string(reinterpret_cast<const char*>(data), size);
}

bssl::UniquePtr<EVP_PKEY> MakeKey(bool rsa) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (rsa) {
    bssl::UniquePtr<RSA> pair(RSA_new());
    bssl::UniquePtr<BIGNUM> exponent(BN_new());
    BN_set_word(exponent.get(), RSA_F4);
    RSA_generate_key_ex(pair.get(), 2048, exponent.get(), nullptr);
    EVP_PKEY_set1_RSA(key.get(), pair.get());
    return key;
  }
  bssl::UniquePtr<EC_KEY> pair(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  EC_KEY_generate_key(pair.get());
  EVP_PKEY_set1_EC_KEY(key.get(), pair.get());
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr) abort();
  X509_add_ext(certificate, extension.get(), -1);
}

uint64_t NextSerial() {
  static uint64_t serial = 1000;
  return ++serial;
}

}  // namespace

xds::DataSource Inline(const std::string& bytes) {
  xds::DataSource source;
  source.bytes = bytes;
  source.set = true;
  return source;
}

xds::TlsCertificate TestCertificate::AsConfig() const {
  xds::TlsCertificate config;
  config.certificate_chain = Inline(pem);
  config.private_key = Inline(key_pem);
  return config;
}

std::string TestCertificate::Sha256() const {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(x509.get(), EVP_sha256(), digest, &size);
  return std::string(reinterpret_cast<char*>(digest), size);
}

TestCertificate MakeCertificate(const CertificateRequest& request, const TestCertificate* issuer) {
  TestCertificate made;
  made.key = MakeKey(request.rsa);
  made.x509.reset(X509_new());
  X509* certificate = made.x509.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), NextSerial());
  const int64_t now = time(nullptr);
  ASN1_TIME_set_posix(X509_getm_notBefore(certificate), now + request.valid_from_s);
  ASN1_TIME_set_posix(X509_getm_notAfter(certificate),
                      now + request.valid_from_s + request.valid_for_s);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const uint8_t*>(request.common_name.data()),
                             static_cast<ossl_ssize_t>(request.common_name.size()), -1, 0);
  X509* signer = issuer == nullptr ? certificate : issuer->x509.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  X509_set_pubkey(certificate, made.key.get());
  AddExtension(certificate, signer, NID_basic_constraints,
               request.ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (request.key_usage) {
    AddExtension(
        certificate, signer, NID_key_usage,
        request.ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature,keyEncipherment");
  }
  if (!request.sans.empty())
    AddExtension(certificate, signer, NID_subject_alt_name, absl::StrJoin(request.sans, ","));
  X509_sign(certificate, issuer == nullptr ? made.key.get() : issuer->key.get(), EVP_sha256());

  bssl::UniquePtr<BIO> text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(text.get(), certificate);
  made.pem = TextOf(text.get());
  bssl::UniquePtr<BIO> key_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(key_text.get(), made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  made.key_pem = TextOf(key_text.get());
  return made;
}

std::string MakeCrl(const TestCertificate& issuer,
                    const std::vector<const TestCertificate*>& revoked) {
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.x509.get()));
  const int64_t now = time(nullptr);
  bssl::UniquePtr<ASN1_TIME> from(ASN1_TIME_set_posix(nullptr, now - 3600));
  bssl::UniquePtr<ASN1_TIME> until(ASN1_TIME_set_posix(nullptr, now + 86400));
  X509_CRL_set1_lastUpdate(crl.get(), from.get());
  X509_CRL_set1_nextUpdate(crl.get(), until.get());
  for (const TestCertificate* certificate : revoked) {
    bssl::UniquePtr<X509_REVOKED> entry(X509_REVOKED_new());
    X509_REVOKED_set_serialNumber(entry.get(), X509_get_serialNumber(certificate->x509.get()));
    X509_REVOKED_set_revocationDate(entry.get(), from.get());
    X509_CRL_add0_revoked(crl.get(), entry.release());
  }
  X509_CRL_sign(crl.get(), issuer.key.get(), EVP_sha256());
  bssl::UniquePtr<BIO> text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(text.get(), crl.get());
  return TextOf(text.get());
}

}  // namespace remora::testing
