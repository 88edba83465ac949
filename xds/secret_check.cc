#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

std::string Where(const DataSource& source) {
  return source.file.empty() ? "<inline>" : source.file;
}

bssl::UniquePtr<BIO> Memory(const std::string& bytes) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(bytes.data(), bytes.size()));
}

int CopyPassword(char* buffer, int size, int, void* password) {
  const auto* text = static_cast<const std::string*>(password);
  const int length = std::min<int>(size, text->size());
  std::memcpy(buffer, text->data(), length);
  return length;
}

std::string LastError() {
  const uint32_t code = ERR_peek_last_error();
  char text[256] = "";
  if (code != 0) ERR_error_string_n(code, text, sizeof(text));
  ERR_clear_error();
  return code == 0 ? "" : absl::StrCat(", Cause: ", text);
}

}  // namespace

absl::Status CheckCertificate(const TlsCertificate& certificate) {
  ERR_clear_error();
  if (certificate.pkcs12.set) return absl::OkStatus();
  if (!certificate.certificate_chain.set || !certificate.private_key.set) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Failed to load incomplete certificate from ", Where(certificate.certificate_chain), ": ",
        certificate.private_key.set ? "certificate chain" : "private key", " not set"));
  }
  bssl::UniquePtr<BIO> chain = Memory(certificate.certificate_chain.bytes);
  bssl::UniquePtr<X509> leaf(PEM_read_bio_X509_AUX(chain.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("Failed to load certificate chain from ",
                                                   Where(certificate.certificate_chain),
                                                   LastError()));
  }
  bssl::UniquePtr<BIO> key_bio = Memory(certificate.private_key.bytes);
  std::string password = certificate.password.bytes;
  bssl::UniquePtr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, CopyPassword, &password));
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("Failed to load private key from ",
                                                   Where(certificate.private_key), LastError()));
  }
  bssl::UniquePtr<EVP_PKEY> leaf_key(X509_get_pubkey(leaf.get()));
  if (leaf_key == nullptr || EVP_PKEY_cmp(leaf_key.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to load private key from ", Where(certificate.private_key),
                     ", Cause: it does not belong to the certificate from ",
                     Where(certificate.certificate_chain)));
  }
  return absl::OkStatus();
}

absl::Status CheckValidation(const ValidationContext& validation) {
  ERR_clear_error();
  const DataSource& ca = validation.trusted_ca;
  if (ca.set && !ca.bytes.empty()) {
    bssl::UniquePtr<BIO> bio = Memory(ca.bytes);
    bssl::UniquePtr<X509> first(PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    ERR_clear_error();
    if (first == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("Failed to load trusted CA certificates from ", Where(ca)));
    }
    return absl::OkStatus();
  }
  if (validation.system_roots || !validation.trust_domains.empty()) {
    return absl::OkStatus();
  }
  if (validation.crl.set) {
    return absl::InvalidArgumentError(
        absl::StrCat("Failed to load CRL from ", Where(validation.crl), " without trusted CA"));
  }
  if (!validation.san_matchers.empty()) {
    return absl::InvalidArgumentError(
        "SAN-based verification of peer certificates without trusted CA is "
        "insecure and not allowed");
  }
  if (validation.allow_expired) {
    return absl::InvalidArgumentError(
        "Certificate validity period is always ignored without trusted CA");
  }
  return absl::OkStatus();
}

}  // namespace remora::xds
