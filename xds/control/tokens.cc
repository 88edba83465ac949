#include "xds/control/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace remora::control {
namespace {

std::string HashOf(absl::string_view token) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(token.data(), token.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), size));
}

}  // namespace

bool IsNodeName(absl::string_view name) {
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

std::string Tokens::FileOf(absl::string_view name) { return absl::StrCat("tokens/", name); }

absl::StatusOr<std::string> Tokens::Create(absl::string_view name) const {
  if (!IsNodeName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name,
                     "' is no name of a service or gateway (lower-case letters, digits and "
                     "hyphens)"));
  }
  unsigned char secret[32];
  if (RAND_bytes(secret, sizeof(secret)) != 1) {
    return absl::InternalError("no random bytes to be had");
  }
  const std::string token =
      absl::StrCat("rmt_", absl::WebSafeBase64Escape(
                               absl::string_view(reinterpret_cast<char*>(secret), sizeof(secret))));
  absl::StatusOr<std::string> known = state_.Read(FileOf(name));
  if (!known.ok() && !absl::IsNotFound(known.status())) return known.status();
  absl::Status stored =
      state_.Write(FileOf(name), absl::StrCat(known.ok() ? *known : "", HashOf(token), "\n"));
  if (!stored.ok()) return stored;
  return token;
}

bool Tokens::Verify(absl::string_view name, absl::string_view token) const {
  if (!IsNodeName(name) || token.empty()) return false;
  const std::string hash = HashOf(token);
  absl::StatusOr<std::string> known = state_.Read(FileOf(name));
  if (!known.ok()) return false;
  bool match = false;
  for (absl::string_view line : absl::StrSplit(*known, '\n')) {
    if (line.size() != hash.size()) continue;
    match |= CRYPTO_memcmp(line.data(), hash.data(), hash.size()) == 0;
  }
  return match;
}

}  // namespace remora::control
