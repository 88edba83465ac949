#ifndef REMORA_FILTERS_JWKS_H_
#define REMORA_FILTERS_JWKS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/jwt_token.h"

namespace remora {

// A set of public keys and shared secrets (RFC 7517). Keys of kinds that are not known are left
// out.
//
// Threads: const after Parse, shared by workers.
class Jwks {
 public:
  struct Key;
  static absl::StatusOr<std::shared_ptr<const Jwks>> Parse(absl::string_view json);
  ~Jwks();

  // kOk when one of the keys that fit the token's kid and alg made its signature.
  JwtStatus Verify(const JwtToken& token) const;
  size_t size() const { return keys_.size(); }

 private:
  Jwks() = default;
  std::vector<std::unique_ptr<const Key>> keys_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_JWKS_H_
