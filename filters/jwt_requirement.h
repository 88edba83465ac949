#ifndef REMORA_FILTERS_JWT_REQUIREMENT_H_
#define REMORA_FILTERS_JWT_REQUIREMENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/jwt_provider.h"

namespace envoy::extensions::filters::http::jwt_authn::v3 {
class JwtRequirement;
}

namespace remora {

using JwtProviders = std::map<std::string, std::unique_ptr<JwtProvider>>;

// One look at a request's tokens. Nothing of the request is changed while looking: what is to be
// done to it is collected, because a look that lacks keys is repeated once they are there.
struct JwtInspection {
  struct Good {
    const JwtProvider* provider;
    JwtProvider::Found found;
    JwtToken token;
  };
  struct Bad {
    const JwtProvider* provider;
    JwtStatus status;
  };

  const Headers& request;
  uint64_t now_seconds;
  int64_t now_ns;
  // Whether fetching this provider's keys has failed already.
  std::function<bool(const JwtProvider*)> fetch_failed;

  const JwtProvider* lacking = nullptr;  // keys of this one must be fetched first
  uint32_t parsed = 0;                   // tokens that were taken apart
  uint32_t remembered = 0;               // tokens that were known already
  std::vector<const JwtProvider*> seen;
  std::vector<Good> good;
  std::vector<Good> unverified;  // passed on all the same
  std::vector<Bad> bad;
};

// What a rule asks of a request: a tree of providers.
//
// Threads: const after Parse, shared. Lifetime: the providers outlive it.
class JwtRequirement {
 public:
  using Proto = envoy::extensions::filters::http::jwt_authn::v3::JwtRequirement;
  static absl::StatusOr<JwtRequirement> Parse(const Proto& proto, const JwtProviders& providers);

  // kOk when the request may pass. When `lacking` is set afterwards, the answer means nothing.
  JwtStatus Check(JwtInspection& look) const;

 private:
  enum class Kind { kNone, kProvider, kAny, kAll, kAllowMissing, kAllowFailed, kExtractOnly };
  JwtStatus CheckProvider(JwtInspection& look) const;
  JwtStatus CheckAny(JwtInspection& look) const;
  JwtStatus CheckAnyProvider(JwtInspection& look) const;
  void ExtractAll(JwtInspection& look) const;
  absl::Status ParseProvider(const std::string& name, const JwtProviders& providers);
  static JwtStatus CheckToken(const JwtProvider& provider, const JwtProvider::Found& found,
                              const std::vector<std::string>* audiences, JwtInspection& look);

  Kind kind_ = Kind::kNone;
  const JwtProvider* provider_ = nullptr;
  bool own_audiences_ = false;
  std::vector<std::string> audiences_;
  std::vector<JwtRequirement> nested_;
  std::vector<const JwtProvider*> all_;  // of kAllowMissing and kAllowFailed
};

}  // namespace remora

#endif  // REMORA_FILTERS_JWT_REQUIREMENT_H_
