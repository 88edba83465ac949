#include "filters/jwks.h"

#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace remora {
namespace {

const uint8_t* Bytes(absl::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

const EVP_MD* DigestOf(absl::string_view alg) {
  if (absl::EndsWith(alg, "256")) return EVP_sha256();
  return absl::EndsWith(alg, "384") ? EVP_sha384() : EVP_sha512();
}

bssl::UniquePtr<BIGNUM> Number(const MetadataValue& jwk, absl::string_view name) {
  const MetadataValue* value = jwk.Find(name);
  std::string bytes;
  if (value == nullptr || value->text() == nullptr || !DecodeBase64Url(*value->text(), &bytes)) {
    return nullptr;
  }
  return bssl::UniquePtr<BIGNUM>(BN_bin2bn(Bytes(bytes), bytes.size(), nullptr));
}

std::string TextOf(const MetadataValue& jwk, absl::string_view name) {
  const MetadataValue* value = jwk.Find(name);
  return value == nullptr || value->text() == nullptr ? std::string() : *value->text();
}

}  // namespace

struct Jwks::Key {
  std::string kty;
  std::string kid;
  std::string alg;
  bssl::UniquePtr<RSA> rsa;
  bssl::UniquePtr<EC_KEY> ec;
  std::string ec_alg;  // the only one for the key's curve
  std::string bytes;   // an oct key's secret, an OKP key's point

  // Null when the key cannot be used.
  static std::unique_ptr<const Key> Parse(const MetadataValue& jwk);
  bool ReadRsa(const MetadataValue& jwk);
  bool ReadEc(const MetadataValue& jwk);
  bool ReadBytes(const MetadataValue& jwk, absl::string_view name);
  bool Fits(const JwtToken& token) const;
  bool Verify(const JwtToken& token) const;
  bool VerifyRsa(const JwtToken& token, absl::string_view digest) const;
  bool VerifyEc(const JwtToken& token, absl::string_view digest) const;
  bool VerifyHmac(const JwtToken& token, absl::string_view text) const;
};

std::unique_ptr<const Jwks::Key> Jwks::Key::Parse(const MetadataValue& jwk) {
  auto key = std::make_unique<Key>();
  key->kty = TextOf(jwk, "kty");
  key->kid = TextOf(jwk, "kid");
  key->alg = TextOf(jwk, "alg");
  bool good = false;
  if (key->kty == "RSA") {
    good = key->ReadRsa(jwk);
  } else if (key->kty == "EC") {
    good = key->ReadEc(jwk);
  } else if (key->kty == "oct") {
    good = key->ReadBytes(jwk, "k");
  } else if (key->kty == "OKP") {
    good = TextOf(jwk, "crv") == "Ed25519" && key->ReadBytes(jwk, "x") &&
           key->bytes.size() == ED25519_PUBLIC_KEY_LEN;
  }
  if (!good) return nullptr;
  return key;
}

bool Jwks::Key::ReadRsa(const MetadataValue& jwk) {
  bssl::UniquePtr<BIGNUM> n = Number(jwk, "n");
  bssl::UniquePtr<BIGNUM> e = Number(jwk, "e");
  if (n == nullptr || e == nullptr) return false;
  rsa.reset(RSA_new_public_key(n.get(), e.get()));
  return rsa != nullptr;
}

bool Jwks::Key::ReadEc(const MetadataValue& jwk) {
  const std::string curve = TextOf(jwk, "crv");
  int nid = NID_X9_62_prime256v1;
  ec_alg = "ES256";
  if (curve == "P-384") {
    nid = NID_secp384r1;
    ec_alg = "ES384";
  } else if (curve == "P-521") {
    nid = NID_secp521r1;
    ec_alg = "ES512";
  } else if (curve != "P-256") {
    return false;
  }
  bssl::UniquePtr<BIGNUM> x = Number(jwk, "x");
  bssl::UniquePtr<BIGNUM> y = Number(jwk, "y");
  if (x == nullptr || y == nullptr) return false;
  ec.reset(EC_KEY_new_by_curve_name(nid));
  return ec != nullptr && EC_KEY_set_public_key_affine_coordinates(ec.get(), x.get(), y.get()) == 1;
}

bool Jwks::Key::ReadBytes(const MetadataValue& jwk, absl::string_view name) {
  return DecodeBase64Url(TextOf(jwk, name), &bytes) && !bytes.empty();
}

bool Jwks::Key::Fits(const JwtToken& token) const {
  if (!token.kid.empty() && !kid.empty() && token.kid != kid) return false;
  if (!alg.empty() && alg != token.alg) return false;
  if (kty == "EC") return token.alg == ec_alg;
  if (kty == "RSA") return absl::StartsWith(token.alg, "RS") || absl::StartsWith(token.alg, "PS");
  if (kty == "oct") return absl::StartsWith(token.alg, "HS");
  return token.alg == "EdDSA";
}

bool Jwks::Key::Verify(const JwtToken& token) const {
  const std::string text = absl::StrCat(token.header_text, ".", token.payload_text);
  if (kty == "oct") return VerifyHmac(token, text);
  if (kty == "OKP") {
    return token.signature.size() == ED25519_SIGNATURE_LEN &&
           ED25519_verify(Bytes(text), text.size(), Bytes(token.signature), Bytes(bytes)) == 1;
  }
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, DigestOf(token.alg), nullptr) != 1) {
    return false;
  }
  const absl::string_view hashed(reinterpret_cast<const char*>(digest), size);
  return kty == "RSA" ? VerifyRsa(token, hashed) : VerifyEc(token, hashed);
}

bool Jwks::Key::VerifyRsa(const JwtToken& token, absl::string_view digest) const {
  const EVP_MD* md = DigestOf(token.alg);
  if (absl::StartsWith(token.alg, "PS")) {
    return RSA_verify_pss_mgf1(rsa.get(), Bytes(digest), digest.size(), md, md, -1,
                               Bytes(token.signature), token.signature.size()) == 1;
  }
  return RSA_verify(EVP_MD_type(md), Bytes(digest), digest.size(), Bytes(token.signature),
                    token.signature.size(), rsa.get()) == 1;
}

// The signature is r and s, each as long as the curve's order (RFC 7518 section 3.4).
bool Jwks::Key::VerifyEc(const JwtToken& token, absl::string_view digest) const {
  const size_t half = (EC_GROUP_order_bits(EC_KEY_get0_group(ec.get())) + 7) / 8;
  if (token.signature.size() != 2 * half) return false;
  bssl::UniquePtr<BIGNUM> r(BN_bin2bn(Bytes(token.signature), half, nullptr));
  bssl::UniquePtr<BIGNUM> s(BN_bin2bn(Bytes(token.signature) + half, half, nullptr));
  bssl::UniquePtr<ECDSA_SIG> signature(ECDSA_SIG_new());
  if (r == nullptr || s == nullptr || signature == nullptr ||
      ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) {
    return false;
  }
  r.release();
  s.release();
  return ECDSA_do_verify(Bytes(digest), digest.size(), signature.get(), ec.get()) == 1;
}

bool Jwks::Key::VerifyHmac(const JwtToken& token, absl::string_view text) const {
  uint8_t expected[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  return HMAC(DigestOf(token.alg), bytes.data(), bytes.size(), Bytes(text), text.size(), expected,
              &size) != nullptr &&
         token.signature.size() == size &&
         CRYPTO_memcmp(expected, token.signature.data(), size) == 0;
}

Jwks::~Jwks() = default;

absl::StatusOr<std::shared_ptr<const Jwks>> Jwks::Parse(absl::string_view json) {
  MetadataValue document;
  if (!ParseJsonObject(json, &document)) {
    return absl::InvalidArgumentError("Jwks is an invalid JSON");
  }
  const MetadataValue* keys = document.Find("keys");
  if (keys == nullptr) return absl::InvalidArgumentError("Jwks does not have [keys] field");
  std::shared_ptr<Jwks> out(new Jwks());
  if (keys->list() != nullptr) {
    for (const MetadataValue& jwk : *keys->list()) {
      if (std::unique_ptr<const Key> key = Key::Parse(jwk)) out->keys_.push_back(std::move(key));
    }
  }
  if (out->keys_.empty()) {
    return absl::InvalidArgumentError("Jwks doesn't have any valid public key");
  }
  return std::shared_ptr<const Jwks>(std::move(out));
}

JwtStatus Jwks::Verify(const JwtToken& token) const {
  if (token.alg == "EdDSA" && token.signature.size() != ED25519_SIGNATURE_LEN) {
    return JwtStatus::kEd25519Length;
  }
  bool fits = false;
  for (const std::unique_ptr<const Key>& key : keys_) {
    if (!key->Fits(token)) continue;
    fits = true;
    if (key->Verify(token)) return JwtStatus::kOk;
  }
  return fits ? JwtStatus::kVerification : JwtStatus::kNoMatchingKey;
}

}  // namespace remora
