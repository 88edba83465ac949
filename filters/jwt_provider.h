#ifndef REMORA_FILTERS_JWT_PROVIDER_H_
#define REMORA_FILTERS_JWT_PROVIDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/api/side_call.h"
#include "filters/jwks.h"
#include "filters/jwt_token.h"
#include "filters/matchers.h"

namespace envoy::extensions::filters::http::jwt_authn::v3 {
class JwtProvider;
}

namespace remora {

// Who issues tokens: where they stand in a request, what must hold of them, which keys sign them.
//
// Threads: const after Parse and shared by workers, but for the keys that were fetched, which are
// one atomic pointer.
class JwtProvider {
 public:
  using Proto = envoy::extensions::filters::http::jwt_authn::v3::JwtProvider;
  static absl::StatusOr<std::unique_ptr<JwtProvider>> Parse(const Proto& proto);

  // A token as it stands in a request.
  struct Found {
    enum class Place : uint8_t { kHeader, kParameter, kCookie };
    Place place;
    std::string name;
    std::string text;
  };
  // In the order of headers, parameters, cookies.
  std::vector<Found> Extract(const Headers& request) const;
  static void Remove(const Found& found, Headers& request);
  // Takes away what a client may not claim: headers that verified tokens will set.
  void Sanitize(Headers& request) const;
  // Puts a verified token's claims into headers.
  void SetHeaders(const JwtToken& token, Headers& request) const;

  // Everything but the signature. `audiences`: of the rule; null: the provider's own.
  JwtStatus CheckClaims(const JwtToken& token, uint64_t now_seconds,
                        const std::vector<std::string>* audiences) const;
  // Keys that may be used now; null when they have to be fetched, or cannot be had.
  std::shared_ptr<const Jwks> Keys(int64_t now_ns) const;
  bool is_remote() const { return !cluster.empty(); }
  void StoreFetched(std::shared_ptr<const Jwks> keys, int64_t now_ns) const;

  // A token that was found good with these keys and is remembered (jwt_cache_config); what it
  // claims must be checked all the same. Null when it is not known.
  std::shared_ptr<const JwtToken> Remembered(absl::string_view text, const Jwks* keys) const;
  void Remember(absl::string_view text, std::shared_ptr<const Jwks> keys,
                const JwtToken& token) const;

  // Of the fetch.
  std::string cluster;
  std::string host;
  std::string path;
  int64_t timeout_ms = 0;
  SideRetries retries;

  bool forward = false;
  std::string payload_in_metadata;
  std::string header_in_metadata;
  std::string failed_status_in_metadata;
  std::vector<std::string> space_delimited_claims;
  bool clear_route_cache = false;

 private:
  struct Location {
    std::string name;
    std::string prefix;
  };
  struct Claim {
    std::string header;
    std::vector<std::string> path;
  };
  struct Fetched {
    std::shared_ptr<const Jwks> keys;
    int64_t until_ns = 0;
  };
  struct Verified {
    std::string text;
    std::shared_ptr<const Jwks> keys;
    JwtToken token;
  };
  using Slot = std::atomic<std::shared_ptr<const Verified>>;
  Slot& SlotOf(absl::string_view text) const {
    return remembered_[absl::HashOf(text) % remembered_.size()];
  }
  void ParsePlaces(const Proto& proto);
  void ParseClaims(const Proto& proto);
  absl::Status ParseKeys(const Proto& proto);
  void ParseRemote(const Proto& proto);

  std::string issuer_;
  std::vector<std::string> audiences_;
  std::optional<StringMatcher> subjects_;
  bool require_expiration_ = false;
  std::optional<uint64_t> most_lifetime_;
  uint64_t skew_ = 60;
  std::vector<Location> headers_;
  std::vector<std::string> parameters_;
  std::vector<std::string> cookies_;
  std::string payload_header_;
  bool pad_payload_ = false;
  std::vector<Claim> claims_;
  std::shared_ptr<const Jwks> local_;
  int64_t cache_ns_ = 0;
  mutable std::atomic<std::shared_ptr<const Fetched>> fetched_;
  // One token a slot, by its hash; a later one takes the place of an earlier.
  mutable std::vector<Slot> remembered_;
  size_t longest_remembered_ = 0;
};

}  // namespace remora

#endif  // REMORA_FILTERS_JWT_PROVIDER_H_
